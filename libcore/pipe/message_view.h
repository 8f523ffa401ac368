// A message as those see it who know records: from the place of the first record it was made of.
#pragma once

#include "leat/log/record.h"
#include "leat/pipe/sink.h"

namespace leat::pipe {

class MessageView {
 public:
  // Points into the message, which must outlive it.
  explicit MessageView(const Message& message) {
    headers_.reserve(message.headers.size());
    for (const auto& [name, value] : message.headers) headers_.push_back({name, value});
    if (message.key) record_.key = *message.key;
    if (message.value) record_.value = *message.value;
    record_.timestamp = message.timestamp;
    if (message.sources.empty()) return;
    record_.topic = message.sources.front().topic;
    record_.partition = message.sources.front().partition;
    record_.offset = message.sources.front().first;
  }
  MessageView(const MessageView&) = delete;
  MessageView& operator=(const MessageView&) = delete;

  // Lives as long as the view.
  RecordView record() const {
    RecordView record = record_;
    record.headers = headers_;
    return record;
  }

 private:
  std::vector<HeaderView> headers_;
  RecordView record_;
};

}  // namespace leat::pipe
