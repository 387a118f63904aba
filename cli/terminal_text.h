#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

// Text from files, targets and keys on its way to a terminal. Such text is hostile: an escape
// sequence in a record's key could clear the screen, retitle the window or hide a line. Pure.
namespace backfill::cli {

// Everything that is not a visible character is shown as an escape (\n, \x1b, \u202e): control
// characters, marks that change the direction of text or take no room, and bytes that are not
// UTF-8.
std::string Printable(std::string_view text);

// The same for a text of several lines, whose line feeds stay. What was JSON stays the same JSON:
// its strings have no raw control characters below 0x20, and what is escaped above is escaped as
// JSON does.
std::string PrintableLines(std::string_view text);

// How many columns printable text takes, never less than a terminal would use for it.
std::size_t Columns(std::string_view printable);

// Cut to at most `columns`, ending in "..." where something was cut and there is room for that.
std::string Fit(std::string_view printable, std::size_t columns);

// Broken between words into lines of at most `columns`; what does not fit into `max_lines` of them
// is cut.
std::vector<std::string> Wrap(std::string_view printable, std::size_t columns,
                              std::size_t max_lines);

enum class Color { kNone, kBold, kDim, kGreen, kYellow, kRed };

// The text in that color; unchanged when `enabled` is false.
std::string Paint(std::string_view printable, Color color, bool enabled);

}  // namespace backfill::cli
