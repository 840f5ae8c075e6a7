#include "cli/table.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace mmsb {

std::string Table::Text() const {
  std::vector<size_t> widths;
  for (const std::vector<std::string>& line : lines_) {
    widths.resize(std::max(widths.size(), line.size()));
    for (size_t i = 0; i < line.size(); ++i) {
      widths[i] = std::max(widths[i], line[i].size());
    }
  }
  std::string text;
  for (const std::vector<std::string>& line : lines_) {
    const size_t begin = text.size();
    for (size_t i = 0; i < line.size(); ++i) {
      if (i > 0) text += "  ";
      text += line[i];
      text.append(widths[i] - line[i].size(), ' ');
    }
    text.resize(std::max(begin, text.find_last_not_of(' ') + 1));
    text += '\n';
  }
  return text;
}

}  // namespace mmsb
