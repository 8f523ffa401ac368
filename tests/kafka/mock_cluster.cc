// A mock cluster that lives until its stdin ends: prints its brokers' addresses. Topics are made by the arguments,
// NAME:PARTITIONS each, as the mock has no requests for that.
#include <librdkafka/rdkafka.h>
// The header wants the other one before it.
#include <librdkafka/rdkafka_mock.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

int main(int argc, char** argv) {
  std::array<char, 512> reason{};
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  rd_kafka_conf_set_log_cb(conf, nullptr);
  rd_kafka_t* client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason.data(), reason.size());
  rd_kafka_mock_cluster_t* cluster = client == nullptr ? nullptr : rd_kafka_mock_cluster_new(client, 3);
  if (cluster == nullptr) {
    std::fprintf(stderr, "mock-cluster: %s\n", reason.data());
    return EXIT_FAILURE;
  }
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const std::size_t colon = word.find(':');
    const int partitions = colon == std::string::npos ? 1 : std::atoi(word.c_str() + colon + 1);
    rd_kafka_mock_topic_create(cluster, word.substr(0, colon).c_str(), partitions, 1);
  }
  std::printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
  std::fflush(stdout);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  rd_kafka_mock_cluster_destroy(cluster);
  rd_kafka_destroy(client);
  return EXIT_SUCCESS;
}
