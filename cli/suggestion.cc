#include "cli/suggestion.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace mmsb {
namespace {

size_t Distance(std::string_view a, std::string_view b) {
  // rows[i][j] is the distance of the first i of `a` to the first j of `b`.
  std::vector<std::vector<size_t>> rows(a.size() + 1,
                                        std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        rows[i][j] = i + j;
        continue;
      }
      const size_t replaced = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      rows[i][j] = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
      }
    }
  }
  return rows[a.size()][b.size()];
}

}  // namespace

std::string_view NearestName(std::string_view typed,
                             std::span<const std::string_view> names) {
  constexpr size_t kLongest = 64;  // of what may be a name with errors
  if (typed.size() > kLongest) return {};
  size_t limit = std::max<size_t>(1, typed.size() / 3);
  std::string_view nearest;
  for (const std::string_view name : names) {
    const size_t distance = Distance(typed, name);
    if (distance > limit || (distance == limit && !nearest.empty())) continue;
    limit = distance;
    nearest = name;
  }
  return nearest;
}

}  // namespace mmsb
