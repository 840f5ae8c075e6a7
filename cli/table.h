#ifndef MMSB_CLI_TABLE_H_
#define MMSB_CLI_TABLE_H_

#include <string>
#include <utility>
#include <vector>

namespace mmsb {

// Lines of text in columns, each as wide as its widest cell. A value;
// thread-compatible.
//
//   Table table({"EPOCH", "SIZE"});
//   table.Add({"1", "512 bytes"});
//   table.Text();
class Table {
 public:
  explicit Table(std::vector<std::string> head) : lines_{std::move(head)} {}

  // Cells that are left out at the end are empty.
  void Add(std::vector<std::string> cells) {
    lines_.push_back(std::move(cells));
  }

  // Two spaces between columns, none at the end of a line.
  std::string Text() const;

 private:
  std::vector<std::vector<std::string>> lines_;
};

}  // namespace mmsb

#endif  // MMSB_CLI_TABLE_H_
