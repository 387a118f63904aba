#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/api/backfill.h"

// How a running backfill looks. Pure: the same status, state and width give the same lines.
namespace backfill::cli {

// What the status does not know.
struct ViewState {
  WallTime now;
  bool color = false;
  std::vector<std::string> notes;  // of the runner itself: "stopping: ..."; printable
};

// The lines to draw on a terminal, none wider than `width` columns (at least 20 are assumed).
std::vector<std::string> RenderLive(const api::Backfill& backfill, const ViewState& state,
                                    int width);

// The same on one line without colors, for a log: phase, progress, rate, what holds it back.
std::string RenderLine(const api::Backfill& backfill, const ViewState& state);

// "[=====>    ]", `columns` wide with the brackets. Full when everything is done and not before.
std::string ProgressBar(std::uint64_t done, std::uint64_t total, std::size_t columns);
// "48.1 %", rounded down.
std::string Percent(std::uint64_t done, std::uint64_t total);

// What a person should know beyond the numbers: paused by whom, stalled or failing why, what is
// being waited for.
struct Notice {
  bool serious = false;
  std::string text;  // printable
};
std::vector<Notice> NoticesOf(const api::Backfill& backfill);

// "33 min 20 s left", "almost done"; empty: unknown.
std::string TimeLeft(const api::Status& status, WallTime now);

// "4,980/s of 5,000/s (limited by Max)"; empty: no rate.
std::string RateText(const api::Status& status);

}  // namespace backfill::cli
