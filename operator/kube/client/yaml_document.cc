#include "operator/kube/client/yaml_document.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/node/node.h>  // parser.h only declares YAML::Node
#include <yaml-cpp/parser.h>

#include <sstream>
#include <utility>
#include <vector>

#include "base/utf8.h"

namespace backfill::kube {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxNodes = 50'000;
constexpr std::size_t kMaxPathBytes = 512;

// Leaves yaml-cpp's parser from inside a callback; never leaves this file.
struct Refused {
  int line;
  std::string message;
};

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(YamlDocument& out) : out_(out) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) Refuse(mark, "a second document begins here");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { Add(mark, json()); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Refuse(mark, "an alias, which is not supported");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    if (ValidUtf8Prefix(value) != value.size()) Refuse(mark, "not UTF-8");
    if (!open_.empty() && open_.back().value->is_object() && !open_.back().key) {
      Key(mark, value);
    } else if (tag == "?" && (value == "true" || value == "false")) {
      Add(mark, json(value == "true"));
    } else if (tag == "?" && (value == "null" || value == "~" || value.empty())) {
      Add(mark, json());
    } else {
      Add(mark, json(value));
    }
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    Open(mark, json::array());
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    Open(mark, json::object());
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  struct Level {
    json* value;
    std::string path;
    std::optional<std::string> key = {};  // of a map: whose value comes next
  };

  [[noreturn]] static void Refuse(const YAML::Mark& mark, std::string message) {
    throw Refused{mark.line + 1, std::move(message)};  // marks count from zero
  }
  void Key(const YAML::Mark& mark, const std::string& key) {
    Level& level = open_.back();
    if (level.value->contains(key)) Refuse(mark, "a key for the second time");
    level.key = key;
  }
  // Where it is put.
  json& Add(const YAML::Mark& mark, json value) {
    if (++nodes_ > kMaxNodes) Refuse(mark, fmt::format("more than {} values", kMaxNodes));
    if (open_.empty()) {
      out_.value = std::move(value);
      return out_.value;
    }
    Level& level = open_.back();
    json* added = nullptr;
    if (level.value->is_array()) {
      path_ = fmt::format("{}[{}]", level.path, level.value->size());
      level.value->push_back(std::move(value));
      added = &level.value->back();
    } else {
      if (!level.key) Refuse(mark, "a key that is not a scalar");
      path_ = level.path.empty() ? *level.key : level.path + "." + *level.key;
      added = &(*level.value)[*level.key];
      *added = std::move(value);
      level.key.reset();
    }
    if (path_.size() <= kMaxPathBytes) out_.lines.emplace(path_, mark.line + 1);
    return *added;
  }
  void Open(const YAML::Mark& mark, json value) {
    if (open_.size() >= kMaxDepth) Refuse(mark, fmt::format("deeper than {} levels", kMaxDepth));
    path_.clear();
    json& added = Add(mark, std::move(value));
    // It stays where it is: its parent gets nothing more before it is complete.
    open_.push_back({.value = &added, .path = path_.size() <= kMaxPathBytes ? path_ : ""});
  }

  YamlDocument& out_;
  std::vector<Level> open_;
  std::string path_;  // of what was added last
  std::size_t nodes_ = 0;
  int documents_ = 0;
};

Error Invalid(int line, std::string_view message) {
  return {ErrorCode::kInvalid,
          line > 0 ? fmt::format("line {}: {}", line, message) : std::string(message)};
}

}  // namespace

int YamlDocument::LineOf(std::string path) const {
  while (true) {
    if (const auto it = lines.find(path); it != lines.end()) return it->second;
    const std::size_t end = path.find_last_of(".[");
    if (end == std::string::npos || end == 0) return 0;
    path.resize(end);
  }
}

Result<YamlDocument> ParseYaml(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.find('\0') != std::string_view::npos || ValidUtf8Prefix(text) != text.size())
    return Invalid(0, "not a text of UTF-8");
  std::string whole(text);
  // yaml-cpp takes the end of a file behind a line feed for the end of a quoted text, too.
  if (whole.ends_with('\n')) whole += "...\n";
  YamlDocument out;
  try {
    std::istringstream stream(std::move(whole));
    YAML::Parser parser(stream);
    TreeBuilder builder(out);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& refused) {
    return Invalid(refused.line, refused.message);
  } catch (const YAML::Exception& e) {
    // Its text may quote the file's, which has secrets.
    return Invalid(e.mark.is_null() ? 0 : e.mark.line + 1, "not YAML");
  } catch (const std::exception&) {
    return Invalid(0, "not YAML");
  }
  return out;
}

}  // namespace backfill::kube
