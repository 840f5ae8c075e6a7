// Runs a fuzz target over files, without libFuzzer: for any compiler and any
// sanitizer. Each argument is an input, or a folder of inputs.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes);

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> Inputs(int count, char** arguments) {
  std::vector<fs::path> inputs;
  for (int i = 1; i < count; ++i) {
    const fs::path path = arguments[i];
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
  const std::vector<fs::path> inputs = Inputs(count, arguments);
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
    // Before the run, so that the last line names what ended it.
    std::cerr << "Replaying " << path.string() << ", " << input.size()
              << " bytes\n";
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()),
                           input.size());
  }
  std::cerr << inputs.size() << " inputs passed.\n";
  return 0;
}
