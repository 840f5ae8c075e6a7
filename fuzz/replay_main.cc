// Runs a fuzz target over files, without libFuzzer: for any compiler and any
// sanitizer. Each argument is an input, or a folder of inputs. --max_len=N,
// ahead of them, refuses one of more bytes, which the fuzzer would cut.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes);

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> Inputs(std::span<char* const> arguments) {
  std::vector<fs::path> inputs;
  for (const char* const argument : arguments) {
    const fs::path path = argument;
    if (fs::is_directory(path)) {
      for (const auto& entry : fs::recursive_directory_iterator(path)) {
        if (entry.is_regular_file()) inputs.push_back(entry.path());
      }
    } else {
      inputs.push_back(path);
    }
  }
  std::sort(inputs.begin(), inputs.end());
  return inputs;
}

}  // namespace

int main(int count, char** arguments) {
  std::span<char* const> rest(arguments + 1, arguments + count);
  constexpr std::string_view kMaxLen = "--max_len=";
  size_t max_len = std::numeric_limits<size_t>::max();
  if (!rest.empty() && std::string_view(rest[0]).starts_with(kMaxLen)) {
    max_len = std::strtoull(rest[0] + kMaxLen.size(), nullptr, 10);
    rest = rest.subspan(1);
  }
  const std::vector<fs::path> inputs = Inputs(rest);
  if (inputs.empty()) {
    std::cerr << "No inputs: the corpus is empty. Give files or folders as "
                 "arguments, or the corpus attribute of cc_fuzz_test.\n";
    return 1;
  }
  for (const fs::path& path : inputs) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> input{std::istreambuf_iterator<char>(file), {}};
    if (!file.is_open() || file.bad()) {
      std::cerr << path.string() << ": cannot be read\n";
      return 1;
    }
    if (input.size() > max_len) {
      std::cerr << path.string() << ": " << input.size()
                << " bytes, and the fuzzer cuts inputs at " << max_len
                << ": shorten it, or raise max_len of the target\n";
      return 1;
    }
    // Before the run, so that the last line names what ended it.
    std::cerr << "Replaying " << path.string() << ", " << input.size()
              << " bytes\n";
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()),
                           input.size());
  }
  std::cerr << inputs.size() << " inputs passed.\n";
  return 0;
}
