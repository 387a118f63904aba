#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

// One rate over the members of a group (spec.throttle.group); why so: README.md beside this file.
namespace backfill::throttle {

using namespace std::chrono_literals;

// A place among those that a rate is shared by.
struct Share {
  double weight = 1;
  double most = 0;  // records/s
  double gets = 0;  // the answer
};

// Weighted max-min: nobody gets more than its `most`; who is short of that has as much for each
// unit of weight as anybody else, or more. The sum is at most `rate`.
void FillByWeight(double rate, std::vector<Share>& shares);

// A member as it is now. Any numbers.
struct GroupMember {
  double weight = 1;
  double limit = 0;  // records/s that it may have at most; 0: it is paused
  // Nothing of it is open that could send: it gets nothing, and `in_force` is not known.
  bool open = false;
  // False: it does not answer, and what follows is as it was.
  bool seen = true;
  double sent = 0;     // attempts/s
  bool waits = false;  // it would send more
  // Records/s that its workers may believe to have, or may yet be given of what it was allowed.
  double in_force = 0;
  // While grants of an earlier leader may be in force: what its workers say that they have of them.
  std::optional<double> reported = std::nullopt;

  bool operator==(const GroupMember&) const = default;
};

// Shares the rate of a group, so that at every moment what is in force of all members together is
// at most the rate (or, after a cut and where one joins with a rate of its own, no more than it was
// before): what a member has lost counts until it is not in force any more, and only then may
// another have it. It is to RateShare what a member is to a worker. Pure, not thread-safe.
class GroupShare {
 public:
  // No grant lasts longer than `longest_grant`.
  explicit GroupShare(Duration longest_grant) : longest_grant_(longest_grant) {}

  // Until then grants of an earlier leader may be in force: nobody is allowed more than its workers
  // have of them.
  void LearnUntil(Time until) { learns_until_ = until; }

  void SetRate(double records_per_second);
  // Joins, or says what has become of it.
  void Update(std::string_view name, const GroupMember& member, Time now);
  // What is in force of it counts for as long as grants last.
  void Leave(std::string_view name, Time now);
  // What it may have from now on. 0 for one that is not a member.
  double Allow(std::string_view name, Time now);

  // Of all of them, those that have left included.
  [[nodiscard]] double InForce(Time now) const;
  // What those that are open have of the grants of an earlier leader.
  [[nodiscard]] double Reported() const;
  [[nodiscard]] bool Learns(Time now) const { return now < learns_until_; }
  [[nodiscard]] std::size_t members() const;
  // Nobody is left, and nothing in force.
  [[nodiscard]] bool Empty(Time now) const;

 private:
  struct Place {
    GroupMember member;
    bool here = false;
    double allowed = 0;   // as it was told last
    double believed = 0;  // the most of that since it was seen
    double lingers = 0;   // of a stage that is closed, or of its time as a member
    Time lingers_until{};
    double reported = 0;             // as last said
    double appetite = 0;             // records/s that it makes use of
    bool hungry = false;             // it takes whatever it gets
    std::optional<Time> full_since;  // it has not waited since then
    double target = 0;
  };
  using Places = std::map<std::string, Place, std::less<>>;

  static double InForce(const Place& place, Time now);
  void Linger(Place& place, Time now) const;
  static void NoteAppetite(Place& place, Time now);
  void SetTargets(Time now);
  void SetTargetsWhileLearning();

  Duration longest_grant_;
  Time learns_until_{};
  double rate_ = 0;
  Places places_;
};

}  // namespace backfill::throttle
