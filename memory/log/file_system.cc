#include "memory/log/file_system.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace mmsb {

std::string ParentPath(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(path.substr(0, std::max<size_t>(slash, 1)));
}

}  // namespace mmsb
