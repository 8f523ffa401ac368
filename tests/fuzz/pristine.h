// Files and state pages put back to what they were before an input was tried: only what has changed is written, so that
// most of the time goes into what is tested.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "leat/base/disk.h"
#include "leat/log/file_names.h"
#include "leat/log/partition_state.h"
#include "tests/fuzz/fuzz.h"

namespace leat::fuzz {

// A file that gets any content, again and again.
class PristineFile {
 public:
  PristineFile(std::string name, std::string content) : name_(std::move(name)), content_(std::move(content)) {}

  const std::string& name() const { return name_; }

  void set(const Directory& directory, std::string_view content) {
    if (!file_ || !directory.names_file(name_, file_))
      file_ = must(directory.open_file(name_, OpenMode::create_or_open));
    if (must(file_.size()) != std::ssize(content)) must(file_.truncate(std::ssize(content)));
    must(file_.write_at(as_bytes(content), 0));
  }

  void restore(const Directory& directory) {
    if (!file_ || !directory.names_file(name_, file_) || !is_whole()) set(directory, content_);
  }

 private:
  bool is_whole() const {
    std::string present(content_.size() + 1, '\0');
    const ssize_t count = ::pread(file_.fd(), present.data(), present.size(), 0);
    present.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    return count >= 0 && present == content_;
  }

  std::string name_;
  std::string content_;
  File file_;
};

// A directory with some files and nothing else.
class PristineDirectory {
 public:
  // As it is at present.
  void keep(const Directory& directory, const std::string& name) {
    files_.emplace_back(name, must(directory.read_file(name, std::size_t{1} << 20)));
  }

  void restore(const Directory& directory) {
    for (const std::string& name : must(directory.list())) {
      if (std::ranges::find(files_, name, &PristineFile::name) == files_.end()) must(directory.remove_tree(name));
    }
    for (PristineFile& file : files_) file.restore(directory);
  }

 private:
  std::vector<PristineFile> files_;
};

// The state of a topic that nobody has opened yet.
class PristineState {
 public:
  void restore(const Directory& topic, const TopicId& id, std::int32_t partitions) {
    if (!file_ || !topic.names_file(kStateFile, file_)) {
      must(TopicState::create(topic, id, partitions));
      file_ = must(topic.open_file(kStateFile, OpenMode::read_write));
      content_ = must(topic.read_file(kStateFile, std::size_t{1} << 20));
      return;
    }
    if (must(file_.size()) != std::ssize(content_)) must(file_.truncate(std::ssize(content_)));
    must(file_.write_at(as_bytes(content_), 0));
  }

  // What a test writes over it.
  const File& file() const { return file_; }

 private:
  File file_;
  std::string content_;  // knows which file it is of
};

}  // namespace leat::fuzz
