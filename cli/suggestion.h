#ifndef MMSB_CLI_SUGGESTION_H_
#define MMSB_CLI_SUGGESTION_H_

#include <span>
#include <string_view>

namespace mmsb {

// The one of `names` that somebody who typed `typed` may have meant: the one
// that the fewest insertions, removals, replacements and swaps of neighbours
// lead to (optimal string alignment distance), at most one for each three
// characters typed and always one; empty when there is none. O(names *
// length^2).
std::string_view NearestName(std::string_view typed,
                             std::span<const std::string_view> names);

}  // namespace mmsb

#endif  // MMSB_CLI_SUGGESTION_H_
