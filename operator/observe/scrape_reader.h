#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/observe/query.h"
#include "operator/observe/sample_window.h"
#include "operator/observe/series_selector.h"
#include "operator/observe/source.h"

namespace backfill::observe {

// What a ScrapeQuery makes of one text after the other. Pure, not thread-safe; the time is an
// argument and never goes back.
//
// Rates and quantiles are of what grew over the window, so the first ones come when a quarter of it
// has passed; until then, and after a target has restarted, there is no new value: the last one
// goes on ageing, and where there was none it is kNoData. A series that appears or vanishes among
// several takes no part until it has been there for a quarter of the window.
class ScrapeReader {
 public:
  // `query` has passed Check().
  explicit ScrapeReader(ScrapeQuery query);

  Reply Read(std::string_view text, Time now);

 private:
  // What one text has of the series that are asked for.
  struct Found;
  struct Series {
    std::vector<double> bounds;  // of a histogram
    SampleWindow window;
  };
  struct Grown {
    const std::vector<double>* bounds;  // in `series_`
    SampleWindow::Growth growth;
  };

  Reply ValueOf(const Found& found, Time now) const;
  Reply GrowthOf(const Found& found, Time now);
  Reply QuantileOf(const std::vector<Grown>& grown, Time now) const;
  Reply NotYet(bool restarted, Time now) const;
  [[nodiscard]] Reply None(Time now) const;

  const ScrapeQuery query_;
  const SeriesSelector selector_;
  std::map<std::string, Series> series_;       // by labels
  std::optional<throttle::Observation> last_;  // that was a value
};

}  // namespace backfill::observe
