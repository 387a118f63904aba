#include "operator/kube/runtime/key_queue.h"

#include <algorithm>
#include <cstdlib>

namespace backfill::kube {

KeyQueue::Added KeyQueue::Add(const ObjectKey& key, Priority priority, Time now) {
  Node* node = Find(key);
  if (node == nullptr) return Added::kRefused;
  Entry& entry = node->second;
  Lift(*node, priority);
  if (entry.pending == Pending::kReady || entry.pending == Pending::kAgain) return Added::kMerged;
  const Added added = entry.pending == Pending::kNo ? Added::kNew : Added::kMerged;
  Unlist(*node);
  if (entry.processing) {
    entry.pending = Pending::kAgain;
    entry.since = now;
  } else {
    MakeReady(*node, now);
  }
  return added;
}

KeyQueue::Added KeyQueue::AddAt(const ObjectKey& key, Priority priority, Time due, Time now) {
  if (due <= now) return Add(key, priority, now);
  due = std::min(due, now + options_.max_delay);
  Node* node = Find(key);
  if (node == nullptr) return Added::kRefused;
  Entry& entry = node->second;
  Lift(*node, priority);
  if (entry.pending == Pending::kReady || entry.pending == Pending::kAgain) return Added::kMerged;
  const Added added = entry.pending == Pending::kNo ? Added::kNew : Added::kMerged;
  if (entry.pending == Pending::kDelayed && entry.due <= due) return added;
  Unlist(*node);
  entry.pending = Pending::kDelayed;
  entry.due = due;
  entry.order = next_order_++;
  delayed_.emplace(std::pair(due, entry.order), node);
  return added;
}

void KeyQueue::Tick(Time now) {
  while (!delayed_.empty() && delayed_.begin()->first.first <= now) {
    Node& node = *delayed_.begin()->second;
    const Time due = node.second.due;
    Unlist(node);
    if (node.second.processing) {
      node.second.pending = Pending::kAgain;
      node.second.since = due;
    } else {
      MakeReady(node, due);
    }
  }
}

std::optional<Time> KeyQueue::NextDue() const {
  if (delayed_.empty()) return std::nullopt;
  return delayed_.begin()->first.first;
}

std::optional<KeyQueue::Taken> KeyQueue::Take(Time now) {
  auto& low = Line(Priority::kLow);
  auto& normal = Line(Priority::kNormal);
  if (low.empty() && normal.empty()) return std::nullopt;
  const bool turn_of_low = normal_in_a_row_ + 1 >= options_.low_share;
  const bool take_low = !low.empty() && (normal.empty() || turn_of_low);
  normal_in_a_row_ = take_low || low.empty() ? 0 : normal_in_a_row_ + 1;

  Node& node = *(take_low ? low : normal).begin()->second;
  Entry& entry = node.second;
  const Taken taken{.key = node.first, .priority = entry.priority, .waited = now - entry.since};
  Unlist(node);
  entry.priority = Priority::kLow;
  entry.processing = true;
  entry.started = now;
  started_.emplace(now, &node);
  return taken;
}

Duration KeyQueue::Done(const ObjectKey& key, Time now) {
  const auto found = entries_.find(key);
  if (found == entries_.end() || !found->second.processing) std::abort();
  Entry& entry = found->second;
  entry.processing = false;
  started_.erase({entry.started, &*found});
  const Duration took = now - entry.started;
  if (entry.pending == Pending::kAgain) {
    MakeReady(*found, entry.since);
  } else if (entry.pending == Pending::kNo) {
    entries_.erase(found);
  }
  return took;
}

void KeyQueue::Clear() {
  for (auto& line : ready_) line.clear();
  delayed_.clear();
  std::erase_if(entries_, [](const auto& node) { return !node.second.processing; });
  for (auto& [key, entry] : entries_) entry.pending = Pending::kNo;
}

void KeyQueue::ClearDelayed() {
  while (!delayed_.empty()) {
    Node& node = *delayed_.begin()->second;
    Unlist(node);
    if (!node.second.processing) entries_.erase(node.first);
  }
}

KeyQueue::Running KeyQueue::RunningAt(Time now) const {
  Running running;
  if (started_.empty()) return running;
  running.longest = now - started_.begin()->first;
  for (const auto& [started, node] : started_) running.sum += now - started;
  return running;
}

// Absent: it is a new one, and there is no room.
KeyQueue::Node* KeyQueue::Find(const ObjectKey& key) {
  const auto found = entries_.find(key);
  if (found != entries_.end()) return &*found;
  if (entries_.size() >= options_.max_keys) return nullptr;
  return &*entries_.try_emplace(key).first;
}

void KeyQueue::MakeReady(Node& node, Time since) {
  Entry& entry = node.second;
  entry.pending = Pending::kReady;
  entry.since = since;
  entry.order = next_order_++;
  Line(entry.priority).emplace(entry.order, &node);
}

void KeyQueue::Unlist(Node& node) {
  Entry& entry = node.second;
  if (entry.pending == Pending::kReady) Line(entry.priority).erase(entry.order);
  if (entry.pending == Pending::kDelayed) delayed_.erase({entry.due, entry.order});
  entry.pending = Pending::kNo;
}

// Behind those that wait in the higher line already.
void KeyQueue::Lift(Node& node, Priority priority) {
  Entry& entry = node.second;
  if (priority <= entry.priority) return;
  const bool listed = entry.pending == Pending::kReady;
  if (listed) Line(entry.priority).erase(entry.order);
  entry.priority = priority;
  if (!listed) return;
  entry.order = next_order_++;
  Line(priority).emplace(entry.order, &node);
}

}  // namespace backfill::kube
