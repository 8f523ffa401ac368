// Programs as stages: asked and answered, dying, hanging, saying too much.
#include "leat/pipe/program.h"

#include <mutex>

#include "leat/pipe/child_process.h"
#include "tests/support/pipe_fixture.h"

using namespace leat;
using namespace leat::pipe;
using namespace leat::test;
using namespace std::chrono_literals;

namespace {

struct Programs {
  std::mutex mutex;
  std::vector<std::string> said;
  int restarts = 0;
  std::atomic<bool> halt = false;

  WorkSurroundings surroundings() {
    return {.stage = "s",
            .notice =
                [this](const std::string& sentence) {
                  const std::lock_guard lock(mutex);
                  said.push_back(sentence);
                },
            .restarted = [this] { ++restarts; }};
  }
  std::unique_ptr<Mapper> mapper(const std::string& script, Framing framing = Framing::lines, Milliseconds timeout = 5s,
                                 bool filters = false) {
    return must(program_mapper({.words = shell_words(script),
                                .framing = framing,
                                .timeout = timeout,
                                .restarts = {1, 1ms, 1ms},
                                .filters = filters})(surroundings()));
  }
  // Outcomes as words: the new value, "-" for dropped, "!REASON" for refused, "=" for passed.
  Result<std::vector<std::string>> map(Mapper& mapper, const std::vector<std::string>& values) {
    std::vector<Message> messages;
    for (std::size_t i = 0; i < values.size(); ++i)
      messages.push_back(message(static_cast<std::int64_t>(i), values[i]));
    std::vector<Outcome> outcomes;
    TRY(mapper.map(messages, outcomes, halt));
    std::vector<std::string> words;
    for (const Outcome& one : outcomes) {
      switch (one.kind) {
        case Outcome::Kind::passed:
          words.emplace_back("=");
          break;
        case Outcome::Kind::changed:
          words.push_back(*one.message.value);
          break;
        case Outcome::Kind::dropped:
          words.emplace_back("-");
          break;
        case Outcome::Kind::refused:
          words.push_back("!" + one.reason);
      }
    }
    return words;
  }
};

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("a program answers line by line, started once for all of them") {
  Programs programs;
  const auto mapper = programs.mapper("while read line; do n=$((n+1)); echo \"$n $line\"; done");
  CHECK(must(programs.map(*mapper, {"a", "b"})) == Words{"1 a", "2 b"});
  CHECK(must(programs.map(*mapper, {"c"})) == Words{"3 c"});
  CHECK(must(programs.map(*mapper, {"x\ny", "d", "x\ny"})) ==
        Words{"!a value with a newline in it is not one line", "4 d", "!a value with a newline in it is not one line"});
  CHECK(programs.restarts == 0);
}

TEST_CASE("more than the pipes hold goes through, in frames, too") {
  Programs programs;
  for (const Framing framing : {Framing::lines, Framing::u32be, Framing::json}) {
    const auto mapper = programs.mapper("exec cat", framing);
    Words values;
    for (int i = 0; i < 50; ++i) values.emplace_back(20'000, static_cast<char>('a' + i % 26));
    CHECK(must(programs.map(*mapper, values)) == values);
  }
}

TEST_CASE("a program that dies of a record is started again; the record is refused when it dies of it again") {
  Programs programs;
  const auto mapper =
      programs.mapper("while read line; do if [ \"$line\" = bad ]; then exit 3; fi; echo \"+$line\"; done");
  CHECK(must(programs.map(*mapper, {"a", "b", "bad", "c", "bad", "d"})) ==
        Words{"+a", "+b", "!the program ended without an answer (exit status 3)", "+c",
              "!the program ended without an answer (exit status 3)", "+d"});
  CHECK(programs.restarts == 4);
}

TEST_CASE("a program that dies whatever it is given ends the pipeline") {
  Programs programs;
  const auto mapper = programs.mapper("exit 7");
  const auto mapped = programs.map(*mapper, {"a", "b", "c", "d"});
  REQUIRE_FALSE(mapped);
  CHECK(mapped.error().code == Code::unavailable);
  CHECK(mapped.error().message ==
        "stage \"s\": the program ended without an answer (exit status 7), whatever it is given");
}

TEST_CASE("a program that hangs is killed") {
  Programs programs;
  const auto mapper = programs.mapper("while read line; do if [ $line = slow ]; then sleep 100; fi; echo $line; done",
                                      Framing::lines, 150ms);
  CHECK(must(programs.map(*mapper, {"a", "slow", "b"})) ==
        Words{"a", "!the program did not answer within 150 ms", "b"});
  // The time is that of one answer, not of all.
  const auto steady = programs.mapper("while read line; do sleep 0.03; echo $line; done", Framing::lines, 150ms);
  CHECK(must(programs.map(*steady, {"1", "2", "3", "4", "5", "6", "7", "8"})).size() == 8);
}

TEST_CASE("what a program says on its standard error is passed on with the stage's name") {
  Programs programs;
  {
    programs.mapper("echo one >&2; printf two >&2");
  }
  const std::lock_guard lock(programs.mutex);
  CHECK(programs.said == Words{"s: one", "s: two"});
}

TEST_CASE("a program that says more than it was asked for ends the pipeline: answers would go to the wrong records") {
  Programs programs;
  const auto mapper = programs.mapper("while read line; do printf '%s\\n%s\\n' $line $line; done");
  auto mapped = programs.map(*mapper, {"a"});
  if (mapped) mapped = programs.map(*mapper, {"b"});
  REQUIRE_FALSE(mapped);
  CHECK(mapped.error().code == Code::bad_data);
}

TEST_CASE("a filter says true or false") {
  Programs programs;
  const auto mapper =
      programs.mapper("while read line; do case $line in *1*) echo true;; *2*) echo false;; *) echo maybe;; esac; done",
                      Framing::lines, 5s, true);
  CHECK(must(programs.map(*mapper, {"1", "2", "3"})) == Words{"=", "-", "!the program was to say true or false"});
}

TEST_CASE("a program that cannot be started is told at once, and a halt ends waiting for one") {
  Programs programs;
  const auto none = program_mapper({.words = {"/nonexistent/program"}})(programs.surroundings());
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Code::not_found);
  const auto mapper = programs.mapper("sleep 100");
  programs.halt = true;
  CHECK(programs.map(*mapper, {"a"}).error().code == Code::interrupted);
}

TEST_CASE("a program makes one of a batch") {
  Programs programs;
  const auto reducer = must(program_reducer({.words = shell_words("exec sed -u 's/.*/{\"value\":\"made\"}/'"),
                                             .restarts = {1, 1ms, 1ms}})(programs.surroundings()));
  const std::vector<Message> batch = {message(0, "a", "k"), message(4, "b")};
  const Outcome outcome = must(reducer->reduce(batch, programs.halt));
  CHECK(outcome.kind == Outcome::Kind::changed);
  CHECK(outcome.message.value == "made");
  CHECK(outcome.message.timestamp == TimestampMs{1004});
  CHECK_FALSE(outcome.message.key);
}

TEST_CASE("the end of a process is told as the shell would") {
  const auto end_of = [](const std::string& script) {
    const auto child = must(ChildProcess::start({.words = shell_words(script)}));
    const ChildEnd end = child->end(2s);
    return std::pair(end.success, end.shown);
  };
  CHECK(end_of("exit 0") == std::pair(true, std::string("exit status 0")));
  CHECK(end_of("exit 3") == std::pair(false, std::string("exit status 3")));
  CHECK(end_of("kill -TERM $$") == std::pair(false, std::string("signal 15 (Terminated)")));
  // What it has started goes with it.
  const auto child = must(ChildProcess::start({.words = shell_words("sleep 100 & sleep 100")}));
  CHECK_FALSE(child->wait(10ms));
  CHECK(child->end(10ms).shown == "signal 9 (Killed)");
}
