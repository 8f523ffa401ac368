// A data directory behind Backend. Translates between the seam and the layers below; knows no formats.
#pragma once

#include <memory>
#include <string>

#include "leat/backend/backend.h"
#include "leat/group/offsets.h"
#include "leat/log/data_dir.h"
#include "leat/log/topic.h"

namespace leat {

// Opens (with options.create: makes) the data directory at `path`. Errors: those of DataDir::open.
Result<std::unique_ptr<Backend>> open_local(const std::string& path, const OpenOptions& options);

// The parts of LocalBackend, one file each. `data_dir` must outlive what they return.
Result<std::unique_ptr<Producer>> open_local_producer(const DataDir& data_dir, std::string_view topic,
                                                      const ProducerOptions& options);
Result<std::unique_ptr<Reader>> open_local_reader(const DataDir& data_dir, const ReadOptions& options);
Result<std::unique_ptr<GroupReader>> join_local_group(const DataDir& data_dir, std::string_view consumer,
                                                      const GroupOptions& options);

Result<ConsumerOffsets> local_consumer_offsets(const DataDir& data_dir, bool with_lag);
Result<ConsumerDescription> describe_local_consumer(const DataDir& data_dir, std::string_view consumer);
Result<std::vector<SeekResult>> seek_local_consumer(const DataDir& data_dir, std::string_view consumer,
                                                    std::span<const SeekRequest> requests, bool create, bool execute);
Result<std::vector<DeletedOffset>> delete_local_consumer(const DataDir& data_dir, std::string_view consumer,
                                                         std::optional<std::string_view> topic,
                                                         std::span<const PartitionId> partitions, bool execute);

Result<std::unique_ptr<CopyWriter>> open_local_copy(const DataDir& data_dir, std::string_view topic,
                                                    const CopySource& source);
Result<std::unique_ptr<DerivedWriter>> open_local_derived(const DataDir& data_dir, std::string_view topic);

// What `options` say of where this one partition starts, if anything.
std::optional<Offset> start_named(const ReadOptions& options, std::string_view topic, PartitionId partition);

// The partitions chosen, in their order and each once, or all `count` of them.
std::vector<PartitionId> partitions_or_all(std::span<const PartitionId> chosen, std::int32_t count);

}  // namespace leat
