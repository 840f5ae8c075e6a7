#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "cli/checkout.h"
#include "cli/command.h"
#include "cli/commit.h"
#include "cli/diff.h"
#include "cli/log.h"
#include "cli/program.h"
#include "cli/prune.h"
#include "cli/salvage.h"
#include "cli/stat.h"
#include "cli/text.h"
#include "cli/verify.h"
#include "device/simd/simd_target.h"
#include "memory/log/posix_file_system.h"
#include "primitives/os_clock.h"

namespace {

// A standard stream that was closed would be opened as a file of the store, and
// then be written to. Opened the wrong way round, it fails when it is used.
bool ReserveStandardStreams() {
  for (const int stream : {0, 1, 2}) {
    if (::fcntl(stream, F_GETFD) != -1) continue;
    if (::open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY) != stream) {
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (!ReserveStandardStreams()) return 1;
  // A file-size limit is then an error like a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  // `bazel run` starts programs in a folder of its own.
  if (const char* const directory = std::getenv("BUILD_WORKING_DIRECTORY");
      directory != nullptr && ::chdir(directory) != 0) {
    std::fprintf(stderr, "mmsb: cannot change to '%s': %s\n", directory,
                 std::strerror(errno));
    return 1;
  }
  if (const char* const target = std::getenv("MMSB_SIMD_TARGET");
      target != nullptr) {
    if (const absl::Status status = mmsb::ForceSimdTarget(target);
        !status.ok()) {
      std::fprintf(stderr, "mmsb: MMSB_SIMD_TARGET: %s\n",
                   mmsb::EscapedText(std::string(status.message())).c_str());
      return 2;
    }
  }
  const std::array commands = {
      &mmsb::CommitCommand(),  &mmsb::LogCommand(),   &mmsb::CheckoutCommand(),
      &mmsb::DiffCommand(),    &mmsb::PruneCommand(), &mmsb::VerifyCommand(),
      &mmsb::SalvageCommand(), &mmsb::StatCommand(),
  };
  const std::vector<std::string_view> arguments(argv + (argc > 0 ? 1 : 0),
                                                argv + argc);
  try {
    return mmsb::RunProgram(commands, arguments,
                            {.file_system = mmsb::PosixFileSystem(),
                             .clock = mmsb::Clock::System(),
                             .out = stdout,
                             .err = stderr,
                             .err_is_terminal = ::isatty(STDERR_FILENO) == 1});
  } catch (const std::bad_alloc&) {
    std::fputs("mmsb: out of memory\n", stderr);
    return 1;
  }
}
