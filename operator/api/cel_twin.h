#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "operator/api/node.h"

namespace backfill::api {

// A CEL rule of the CRD, and what decides the same.
struct Twin {
  std::string_view rule;
  bool (*holds)(const Node& self, const Node& before);  // `before` is self in rules without oldSelf
  std::string (*message)(const Node& self) = nullptr;   // twin of the messageExpression
};

// Of spec.throttle and spec.schedule.
std::span<const Twin> ThrottleTwins();

}  // namespace backfill::api
