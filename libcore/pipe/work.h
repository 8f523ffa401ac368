// What stages do: functions from a message to another, or from several to one. What a pipeline file names as a built-in
// or a program is one of these; a program that embeds the pipeline brings its own.
//
// Threads: each worker of a stage has one for itself.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "leat/base/error.h"
#include "leat/pipe/sink.h"

namespace leat::pipe {

// What became of a message.
struct Outcome {
  enum class Kind : std::uint8_t {
    passed,   // it goes on as it is
    changed,  // `message` goes on in its place; its sources are filled in by the stage
    dropped,  // it is left out, and done with
    refused,  // it goes to the error stage, for `reason`
  } kind = Kind::passed;
  Message message = {};
  std::string reason = {};

  static Outcome refuse(std::string why) { return {Kind::refused, {}, std::move(why)}; }
};

class Mapper {
 public:
  virtual ~Mapper() = default;

  // Appends one outcome for each message, in their order. `halt` ends waiting (interrupted). An Error is for good: it
  // ends the pipeline.
  virtual Result<void> map(std::span<const Message> messages, std::vector<Outcome>& outcomes,
                           const std::atomic<bool>& halt) = 0;
};

class Reducer {
 public:
  virtual ~Reducer() = default;

  // What a batch comes to: changed, dropped or refused. Errors: as Mapper::map(). Precondition: it is not empty.
  virtual Result<Outcome> reduce(std::span<const Message> batch, const std::atomic<bool>& halt) = 0;
};

// What a worker may need of the pipeline it is in.
struct WorkSurroundings {
  std::string stage;                                             // its name
  std::function<void(const std::string& sentence)> notice = {};  // says something to the user; from any thread
  std::function<void()> restarted = {};                          // a program was started again
};

using MakeMapper = std::function<Result<std::unique_ptr<Mapper>>(const WorkSurroundings& surroundings)>;
using MakeReducer = std::function<Result<std::unique_ptr<Reducer>>(const WorkSurroundings& surroundings)>;

}  // namespace leat::pipe
