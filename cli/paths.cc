#include "cli/paths.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace mmsb {
namespace {

std::filesystem::path Resolve(const std::string& path) {
  std::error_code error;
  std::filesystem::path resolved =
      std::filesystem::weakly_canonical(std::filesystem::path(path), error);
  if (error) return path;
  // "store/" ends in an empty component.
  return resolved.has_filename() ? resolved : resolved.parent_path();
}

}  // namespace

std::string ResolvedPath(const std::string& path) {
  return Resolve(path).string();
}

absl::Status CheckOutsideStore(const std::string& path,
                               const std::string& store) {
  std::error_code error;
  const std::filesystem::path directory =
      std::filesystem::absolute(Resolve(store), error);
  const std::filesystem::path file =
      std::filesystem::absolute(Resolve(path), error);
  const auto [in_directory, in_file] = std::mismatch(
      directory.begin(), directory.end(), file.begin(), file.end());
  if (in_directory != directory.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      in_file == file.end()
          ? absl::StrCat("'", path, "' is the store itself")
          : absl::StrCat("'", path, "' lies in the store '", store, "'"));
}

}  // namespace mmsb
