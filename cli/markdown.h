#pragma once

#include <string>
#include <string_view>
#include <vector>

// Text from files, targets and keys on its way into Markdown, where a name could otherwise become a
// link, a heading or HTML. Pure.
namespace backfill::cli {

// One line that shows `text` as it is.
std::string MarkdownText(std::string_view text);
// Likewise, in the type of code; for the cell of a table.
std::string MarkdownCode(std::string_view text);
// A block of code, several lines; ends with a line feed.
std::string MarkdownBlock(std::string_view text);
// A table; the cells are Markdown already. A header of empty texts is fine.
std::string MarkdownTable(const std::vector<std::string>& header,
                          const std::vector<std::vector<std::string>>& rows);

}  // namespace backfill::cli
