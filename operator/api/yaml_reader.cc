#include "operator/api/yaml_reader.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/node/node.h>  // parser.h only declares YAML::Node
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <sstream>
#include <utility>

#include "base/utf8.h"
#include "operator/api/excerpt.h"
#include "operator/api/json.h"
#include "operator/api/yaml_scalar.h"

namespace backfill::api {
namespace {

// Leaves yaml-cpp's parser from inside a callback; never leaves this file.
struct Refused {
  int line;
  int column;
  std::string message;
};

[[noreturn]] void Refuse(const YAML::Mark& mark, std::string message) {
  throw Refused{mark.line + 1, mark.column + 1, std::move(message)};  // marks count from zero
}

// What a copy costs.
struct Extent {
  std::size_t nodes = 1;
  std::size_t bytes = 0;  // of text
  std::size_t depth = 1;
};
Extent Measure(const Node& node) {
  Extent all;
  all.bytes = node.text.size();
  const auto add = [&all](const Node& child) {
    const Extent below = Measure(child);
    all.nodes += below.nodes;
    all.bytes += below.bytes;
    all.depth = std::max(all.depth, below.depth + 1);
  };
  for (const Node& item : node.items) add(item);
  for (const Member& member : node.members) {
    all.bytes += member.key.size();
    add(member.value);
  }
  return all;
}

class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(Problems& problems) : problems_(problems) {}

  // Absent: the document was empty.
  std::optional<Node> Take() { return std::exchange(root_, std::nullopt); }

  void OnDocumentStart(const YAML::Mark& /*mark*/) override { anchors_.clear(); }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Finish(At(Node{}, mark), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) Refuse(mark, "an alias cannot stand inside what it refers to");
    const Extent extent = Measure(found->second);
    if (frames_.size() + extent.depth > kMaxDepth) RefuseDepth(mark);
    Spend(extent.nodes - 1, mark);
    SpendCopied(extent.bytes, mark);
    Node copy = found->second;
    Finish(At(std::move(copy), mark), 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (ValidUtf8Prefix(value) != value.size()) {
      // The text is UTF-8. yaml-cpp makes single bytes of these two.
      Refuse(mark, "the escapes \\_ and \\N are not supported; write \\u00A0 or \\u0085");
    }
    if (tag == "?" || tag.empty()) return Finish(At(PlainScalar(value), mark), anchor);
    if (tag == "!" || tag == "tag:yaml.org,2002:str") {
      return Finish(At(Node::String(value), mark), anchor);
    }
    RefuseTag(mark, tag);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    if (!IsTagOf(tag, "tag:yaml.org,2002:seq")) RefuseTag(mark, tag);
    Open(At(Node::List(), mark), anchor, mark);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    if (!IsTagOf(tag, "tag:yaml.org,2002:map")) RefuseTag(mark, tag);
    Open(At(Node::Map(), mark), anchor, mark);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A list or map under construction.
  struct Frame {
    Node node;
    YAML::anchor_t anchor = 0;
    std::optional<Member> pending;    // of a map: the key whose value comes next
    std::map<std::string, int> keys;  // of a map: where each stands first
  };

  static Node At(Node node, const YAML::Mark& mark) {
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    return node;
  }
  // The kind that there is anyway, said or not.
  static bool IsTagOf(const std::string& tag, std::string_view kind) {
    return tag.empty() || tag == "?" || tag == "!" || tag == kind;
  }
  [[noreturn]] static void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    static constexpr std::string_view kStandard = "tag:yaml.org,2002:";
    const std::string written =
        tag.starts_with(kStandard) ? "!!" + tag.substr(kStandard.size()) : tag;
    Refuse(mark, "the tag " + Excerpt(written) + " is not supported; write the value without it");
  }
  [[noreturn]] static void RefuseDepth(const YAML::Mark& mark) {
    Refuse(mark, "nested deeper than " + std::to_string(kMaxDepth) + " levels");
  }

  void Spend(std::size_t nodes, const YAML::Mark& mark) {
    spent_ += nodes;
    if (spent_ > kMaxNodes) {
      Refuse(mark, "more than " + std::to_string(kMaxNodes) + " values, counting aliases");
    }
  }

  // Before the copy is made.
  void SpendCopied(std::size_t bytes, const YAML::Mark& mark) {
    copied_bytes_ += bytes;
    if (copied_bytes_ > kMaxCopiedBytes) {
      Refuse(mark, "anchors and aliases copy more than " + std::to_string(kMaxCopiedBytes >> 20U) +
                       " MiB; write less text under an anchor");
    }
  }

  void Open(Node node, YAML::anchor_t anchor, const YAML::Mark& mark) {
    if (ExpectsKey()) {
      Refuse(
          mark,
          node.Is(Node::Kind::kMap)
              ? "a map cannot be a key; is there a template without quotes, or a brace not closed?"
              : "a list cannot be a key; is a bracket not closed?");
    }
    if (frames_.size() >= kMaxDepth) RefuseDepth(mark);
    Spend(1, mark);
    frames_.push_back({std::move(node), anchor, std::nullopt, {}});
  }

  void Close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    Place(std::move(frame.node), frame.anchor);
  }

  // A value without children, or the text of a key.
  void Finish(Node node, YAML::anchor_t anchor) {
    const YAML::Mark mark = MarkOf(node);
    Spend(1, mark);
    if (!ExpectsKey()) return Place(std::move(node), anchor);
    if (node.Is(Node::Kind::kNull)) Refuse(mark, "the key is empty");
    if (node.Is(Node::Kind::kMap) || node.Is(Node::Kind::kList))
      Refuse(mark, "a key must be a word");
    if (node.text == "<<") Refuse(mark, "merge keys (<<) are not supported; write the fields out");
    if (IsReadDifferently(node)) {
      problems_.Add(node.line, node.column, "",
                    "the key " + Excerpt(node.text) +
                        " is read in different ways by programs; put it in quotes");
    }
    Remember(node, anchor, mark);
    frames_.back().pending = Member{KeyText(node), node.line, node.column, Node{}};
  }

  void Place(Node node, YAML::anchor_t anchor) {
    Remember(node, anchor, MarkOf(node));
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.node.Is(Node::Kind::kList)) {
      frame.node.items.push_back(std::move(node));
      return;
    }
    if (!frame.pending) std::abort();  // yaml-cpp gives the key first
    Member member = std::move(*frame.pending);
    frame.pending.reset();
    if (node.Is(Node::Kind::kNull)) {  // stands nowhere: its key does
      node.line = member.line;
      node.column = member.column;
    }
    member.value = std::move(node);
    const auto [first, fresh] = frame.keys.try_emplace(member.key, member.line);
    if (fresh) {
      frame.node.members.push_back(std::move(member));
    } else {
      problems_.Add(member.line, member.column, "",
                    "the key " + Excerpt(member.key) + " stands twice in this map, first on line " +
                        std::to_string(first->second) + "; remove one");
    }
  }

  void Remember(const Node& node, YAML::anchor_t anchor, const YAML::Mark& mark) {
    if (anchor == 0) return;
    const Extent extent = Measure(node);  // the copy costs, too: anchors may nest
    Spend(extent.nodes, mark);
    SpendCopied(extent.bytes, mark);
    anchors_.insert_or_assign(anchor, node);
  }

  [[nodiscard]] bool ExpectsKey() const {
    return !frames_.empty() && frames_.back().node.Is(Node::Kind::kMap) && !frames_.back().pending;
  }
  // Some take `on` for true and 1.50 for 1.5, and the key for what they took it for.
  static bool IsReadDifferently(const Node& key) {
    return key.Is(Node::Kind::kAmbiguous) || key.Is(Node::Kind::kFloat) ||
           (key.Is(Node::Kind::kInteger) && key.text != ToString(key.integer));
  }
  static std::string KeyText(const Node& node) {
    return node.Is(Node::Kind::kBool) ? (node.boolean ? "true" : "false") : node.text;
  }
  static YAML::Mark MarkOf(const Node& node) {
    YAML::Mark mark;
    mark.line = node.line - 1;
    mark.column = node.column - 1;
    return mark;
  }

  Problems& problems_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, Node> anchors_;
  std::optional<Node> root_;
  std::size_t spent_ = 0;
  std::size_t copied_bytes_ = 0;
};

std::string_view LineOf(std::string_view text, int line) {
  for (; line > 1; --line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

// What yaml-cpp says of this line, with what usually helps.
std::string Explain(const std::string& message, std::string_view text, int at) {
  const std::string_view line = LineOf(text, at);
  const std::string_view before = at > 1 ? LineOf(text, at - 1) : std::string_view{};
  const auto near = [&](std::string_view bytes) {
    return line.find(bytes) != std::string_view::npos ||
           before.find(bytes) != std::string_view::npos;
  };
  if (message.starts_with("illegal document indicator in scalar") ||
      message.starts_with("illegal EOF in scalar")) {
    return "this is not valid YAML: a quote is opened before this and never closed";
  }
  std::string hint;
  const std::size_t indent = line.find_first_not_of(" \t");
  if (text.starts_with("<<<<<<< ") || text.find("\n<<<<<<< ") != std::string_view::npos) {
    hint = "; the conflict of a merge is not resolved";
  } else if (near("\u00a0")) {
    hint = "; a no-break space (U+00A0) stands here or on the line before, write a blank";
  } else if (near("\u201c") || near("\u201d") || near("\u2018") || near("\u2019")) {
    hint = "; typographic quotes are no quotes, write \" or '";
  } else if (indent != std::string_view::npos &&
             line.substr(0, indent).find('\t') != std::string_view::npos) {
    hint = "; indent with blanks, not with tabs";
  } else if (message == "illegal map value") {
    hint = "; put a text that contains \": \" in quotes, and check the indentation";
  } else if (message.starts_with("end of map not found") ||
             message.starts_with("end of sequence not found")) {
    hint = "; check the indentation of this line and the quotes before it";
  } else if (message.starts_with("end of map flow") ||
             message.starts_with("end of sequence flow")) {
    hint = "; a bracket, brace or quote is not closed, or a comma is missing";
  } else if (message.starts_with("unknown token")) {
    hint = "; put a text that begins with a special character (@, `, %) in quotes";
  }
  return "this is not valid YAML: " + message + hint;
}

void AddAt(std::string_view text, std::size_t at, std::string message, Problems& problems) {
  const std::string_view before = text.substr(0, at);
  const auto line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  problems.Add(static_cast<int>(std::ranges::count(before, '\n')) + 1,
               static_cast<int>(before.size() - line_start) + 1, "", std::move(message));
}

// What a file is that is no text of ours at all; empty: it may be one.
std::string_view OtherThanText(std::string_view text) {
  using namespace std::string_view_literals;
  for (const std::string_view packed : {"\x1F\x8B"sv, "\x28\xB5\x2F\xFD"sv, "PK\x03\x04"sv}) {
    if (text.starts_with(packed)) return "this is packed (gzip, zstd or zip); unpack it first";
  }
  for (const std::string_view wide : {"\xFF\xFE"sv, "\xFE\xFF"sv, "\0"sv}) {
    if (text.starts_with(wide) || text.substr(0, 2).ends_with('\0'))
      return "the text is UTF-16 or UTF-32; save the file as UTF-8";
  }
  return {};
}

// Why a character cannot stand in a text; empty: it can. yaml-cpp does not read control characters
// as the standard says, and does not take for the end of a line what other programs take for one:
// behind it they see fields where it sees the rest of a comment.
std::string WrongCharacter(char32_t c, std::string_view behind, bool json) {
  if (c == '\r' && !behind.starts_with('\n'))
    return "a carriage return (CR) without a line feed stands here; end lines with LF or CR LF";
  if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || (c == 0x7F && !json))
    return "a control character stands here; remove it, or write it escaped in double quotes";
  if (json) return "";  // where nothing else ends a line, and programs write the rest as it is
  if (c == 0xFEFF)
    return "a byte order mark (U+FEFF), which no editor shows, stands here; remove it";
  if (c == 0x85 || c == 0x2028 || c == 0x2029) {
    return fmt::format(
        "U+{:04X} ends a line for some programs and not for others; remove it, or write it "
        "escaped in double quotes",
        static_cast<std::uint32_t>(c));
  }
  if ((c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069)) {
    return fmt::format(
        "U+{:04X} changes the direction of text, so that a file does not show what it says; "
        "remove it, or write it escaped in double quotes",
        static_cast<std::uint32_t>(c));
  }
  return "";
}

// Before yaml-cpp sees them. `json`: it is valid JSON.
bool CheckBytes(std::string_view text, bool json, Problems& problems) {
  if (const std::string_view other = OtherThanText(text); !other.empty()) {
    AddAt(text, 0, std::string(other), problems);
    return false;
  }
  for (std::string_view rest = text; !rest.empty();) {
    const Character c = FirstCharacter(rest);
    const std::size_t at = text.size() - rest.size();
    rest.remove_prefix(c.bytes);
    if (c.code == 0xFEFF && at == 0) continue;  // where it belongs
    const std::string wrong = c.code == kNoCharacter
                                  ? "the text is not UTF-8 from here on; save the file as UTF-8"
                                  : WrongCharacter(c.code, rest, json);
    if (wrong.empty()) continue;
    AddAt(text, at, wrong, problems);
    return false;
  }
  return true;
}

// JSON writes what lies beyond U+FFFF as two escapes, which YAML does not know, and DEL as it is,
// which yaml-cpp does not take. `text` is valid JSON.
std::string AsYaml(std::string_view text) {
  const auto unit = [text](std::size_t at) {  // the value of \uXXXX there, or 0
    unsigned value = 0;
    if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return 0U;
    std::from_chars(text.data() + at + 2, text.data() + at + 6, value, 16);
    return value;
  };
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      out += text[at] == '\x7F' ? std::string_view("\\x7F") : text.substr(at, 1);
      continue;
    }
    const unsigned high = unit(at);
    const unsigned low = unit(at + 6);
    if (high >= 0xD800U && high < 0xDC00U && low >= 0xDC00U && low < 0xE000U) {
      out += fmt::format("\\U{:08X}", 0x10000U + ((high - 0xD800U) << 10U) + (low - 0xDC00U));
      at += 11;
    } else {
      out += text.substr(at, 2);  // the escaped character, which may be a backslash, too
      ++at;
    }
  }
  return out;
}

// Whether a line that begins or ends a document stands before that line's end.
bool IsSeparated(std::string_view text, int line) {
  const std::string_view here = LineOf(text, line);
  const auto until = static_cast<std::size_t>(here.data() - text.data()) + here.size();
  const std::string_view before = text.substr(0, until);
  return before.starts_with("---") || before.find("\n---") != std::string_view::npos ||
         before.find("\n...") != std::string_view::npos;
}

std::optional<Node> Parse(std::string_view text, Problems& problems) {
  std::string whole(text);
  // yaml-cpp takes the end of a file behind a line feed for the end of a quoted text, too, and so
  // whatever stands behind a quote that is never closed for a part of it. Not the end of a
  // document.
  if (whole.ends_with('\n')) whole += "...\n";
  std::istringstream stream{std::move(whole)};
  YAML::Parser parser(stream);
  Builder builder(problems);
  std::optional<Node> document;
  while (parser.HandleNextDocument(builder)) {
    std::optional<Node> next = builder.Take();
    if (!next || next->Is(Node::Kind::kNull)) continue;  // "---" at the end of a file
    if (document) {
      throw Refused{
          next->line, next->column,
          IsSeparated(text, next->line)
              ? "a second document begins here; a file holds one Backfill"
              : "the document has ended before this; check the indentation and the brackets"};
    }
    document = std::move(next);
  }
  if (!document) throw Refused{1, 1, "the file is empty; it must hold a Backfill"};
  return document;
}

}  // namespace

std::optional<Node> ReadYaml(std::string_view text, Problems& problems) {
  if (text.size() > kMaxTextBytes) {
    problems.Add(0, 0, "", "the file is larger than 3 MiB");
    return std::nullopt;
  }
  const std::string_view whole = text;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool braced = first != std::string_view::npos && text[first] == '{';
  std::optional<JsonFault> fault;  // of a text that looks like JSON
  if (braced) fault = FindJsonFault(text);
  const bool json = braced && !fault;
  if (!CheckBytes(whole, json, problems)) return std::nullopt;
  std::string joined;
  if (json) text = joined = AsYaml(text);
  if (fault) {
    // Only a name or a comment can be meant as JSON; anything else is YAML.
    const std::size_t second = text.find_first_not_of(" \t\r\n", first + 1);
    if (second != std::string_view::npos && text[second] != '"' && text[second] != '/')
      fault.reset();
  }
  try {
    return Parse(text, problems);
  } catch (const Refused& refused) {
    if (!fault) problems.Add(refused.line, refused.column, "", refused.message);
  } catch (const YAML::Exception& e) {
    const int line = e.mark.line + 1;
    if (!fault) problems.Add(line, e.mark.column + 1, "", Explain(e.msg, text, line));
  }
  if (fault) AddAt(text, fault->at, "this is not valid JSON: " + fault->message, problems);
  return std::nullopt;
}

}  // namespace backfill::api
