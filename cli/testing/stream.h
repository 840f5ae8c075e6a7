#ifndef MMSB_CLI_TESTING_STREAM_H_
#define MMSB_CLI_TESTING_STREAM_H_

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "primitives/check.h"

namespace mmsb {

// A std::FILE* that keeps what is written to it. Owns it; thread-compatible.
// Ends the process when there is no memory.
//
//   Stream out;
//   std::fputs("text", out.file());
//   EXPECT_EQ(out.Text(), "text");
class Stream {
 public:
  Stream() : file_(open_memstream(&text_, &bytes_)) {
    MMSB_CHECK(file_ != nullptr, "open_memstream failed");
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    std::fclose(file_);
    std::free(text_);
  }

  std::FILE* file() { return file_; }

  // All that was written.
  std::string Text() {
    std::fflush(file_);
    return std::string(text_, bytes_);
  }

 private:
  char* text_ = nullptr;
  size_t bytes_ = 0;
  std::FILE* file_;
};

}  // namespace mmsb

#endif  // MMSB_CLI_TESTING_STREAM_H_
