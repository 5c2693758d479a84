// The log's recovery and reader against damaged folders. A healthy log of three short segments is made once;
// the input then says what becomes of its files, and the log must open, serve only records that were
// appended, in order, and take a new one, which the next start must find behind the same records.

#include "fuzz/require.h"
#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"
#include "store/log.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fcntl.h>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace brim;
using brim::fuzz::require;

constexpr std::size_t segment_bytes = 65'536; // the least there may be
constexpr int records_of_segment = 12;
constexpr int records_of_group = 4;
constexpr std::size_t edits_max = 32;

io::SimOptions world_options(std::uint64_t seed) {
    static const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC); // nobody reads what is logged
    return {.seed = seed, .log_fd = nowhere};
}

store::LogOptions options() {
    return {
        .folder = "/log",
        .name = "fuzz",
        .segment_bytes = segment_bytes,
        .bytes_max = 16 * segment_bytes,
        .record_bytes_max = 16'384,
        .pending_bytes_max = 1'048'576,
    };
}

/// From 4 to some 60 bytes.
std::string body_of(store::Seq seq) {
    return std::to_string(seq) + ":" + std::string(2 + seq * 7 % 56, static_cast<char>('a' + seq % 26));
}

struct NamedFile {
    std::string path;
    Bytes content;
};

using Files = std::vector<NamedFile>;

void append_group(io::SimWorld& world, store::Log& log) {
    for (int i = 0; i < records_of_group; ++i)
        require(log.append(body_of(log.stats().next)).has_value());
    world.run_for(10ms);
}

/// Three segments: a sync that fails ends the first and the second, each with a group that was not
/// acknowledged at its end. The zeros that were set aside for more records are left out.
Files make_healthy() {
    io::SimWorld world(world_options(1));
    auto& machine = world.machine("edge");
    auto log = store::Log::open(machine.env(), options());
    require(log.has_value());
    for (int segment = 0; segment < 3; ++segment) {
        for (int record = 0; record < records_of_segment; record += records_of_group)
            append_group(world, **log);
        require((*log)->set_cursor("reader", (*log)->stats().durable / 2, "extra").has_value());
        world.run_for(3s);
        if (segment == 2)
            break;
        machine.disk().add_fault({.op = io::DiskOp::sync});
        append_group(world, **log);
        machine.disk().clear_faults();
    }
    log->reset();
    Files files;
    for (const auto& path : machine.disk().paths()) {
        if (!path.ends_with(".log"))
            continue;
        Bytes content = machine.disk().content(path);
        content.resize(content.find_last_not_of('\0') + 1);
        files.push_back({path, std::move(content)});
    }
    require(files.size() == 3);
    return files;
}

/// What an edit does to its file, by its first byte; that byte's other bits say which file.
enum class Edit : std::uint8_t { bytes, cut, zeros, copied, lost, swapped, doubled, flipped };

/// Each edit: what and to which file (1), place (2), length (1), and for `bytes` these.
void edit(Files& files, Reader in) {
    for (std::size_t count = 0; in.more() && count < edits_max; ++count) {
        const std::uint8_t first = in.u8();
        NamedFile& file = files[(first >> 3) % files.size()];
        NamedFile& other = files[((first >> 3) + 1) % files.size()];
        const std::size_t at = in.u16() % (file.content.size() + 1);
        const std::size_t length = in.u8();
        switch (static_cast<Edit>(first & 7)) {
        case Edit::bytes: {
            const ByteView bytes = in.view(std::min(length, in.remaining()));
            file.content.replace(at, bytes.size(), bytes);
            break;
        }
        case Edit::cut:
            file.content.resize(at);
            break;
        case Edit::zeros: // as much as was set aside
            file.content.resize(segment_bytes, '\0');
            break;
        case Edit::copied: // what another file holds there: its sectors went to the wrong place
            if (at < other.content.size())
                file.content.replace(at, length, other.content.substr(at, length));
            break;
        case Edit::lost:
            if (files.size() > 1)
                files.erase(files.begin() + (&file - files.data()));
            break;
        case Edit::swapped:
            std::swap(file.content, other.content);
            break;
        case Edit::doubled:
            if (files.size() < 6)
                files.push_back(
                    {"/log/seg-00000000000000" + to_hex(ByteView("\x09\x0a\x0b", 3).substr(length % 3, 1)) +
                         ".log",
                     file.content}
                );
            break;
        case Edit::flipped:
            if (at < file.content.size())
                file.content[at] = static_cast<char>(file.content[at] ^ (1 << length % 8));
            break;
        }
    }
}

/// Takes back most of the zeros that were set aside for more records: each start looks through them byte by
/// byte, which would be half of an execution.
void take_back_zeros(io::SimDisk& disk) {
    static const Bytes zeros(1'024, '\0');
    for (const auto& path : disk.paths()) {
        Bytes content = disk.content(path);
        const std::size_t size = content.size();
        while (content.ends_with(zeros))
            content.resize(content.size() - zeros.size());
        if (content.size() < size)
            disk.put_file(path, content);
    }
}

using Numbers = std::vector<store::Seq>;

/// All that the log serves, which must be what was appended, in order; behind it nothing but `added`.
Numbers read_all(store::LogReader& reader, store::Seq added) {
    Numbers numbers;
    store::Record record;
    while (true) {
        const auto more = reader.next(record);
        require(more.has_value());
        if (!*more)
            return numbers;
        require(numbers.empty() || record.seq > numbers.back());
        require(record.body == (record.seq == added ? "new" : body_of(record.seq)));
        numbers.push_back(record.seq);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Files healthy = make_healthy();
    Files files = healthy;
    edit(files, Reader(ByteView(reinterpret_cast<const char*>(data), size), "edits"));

    io::SimWorld world(world_options(2));
    auto& machine = world.machine("edge");
    require(machine.disk().make_dir("/log").has_value());
    for (const auto& [path, content] : files)
        machine.disk().put_file(path, content);
    auto log = store::Log::open(machine.env(), options());
    if (!log) {
        // Only a file that says it comes from the future, with a good checksum, may keep the log shut.
        require(log.error().code == Errc::unsupported);
        return 0;
    }
    const auto reader = (*log)->read_from(1);
    Numbers numbers = read_all(*reader, 0);
    require(size > 0 || numbers.size() == 3 * records_of_segment);
    const auto added = (*log)->append("new");
    require(added.has_value() && (numbers.empty() || *added > numbers.back()));
    numbers.push_back(*added);
    world.run_for(100ms);
    require((*log)->stats().durable == *added && read_all(*reader, *added) == Numbers{*added});

    auto& env = machine.restart();
    take_back_zeros(machine.disk());
    auto again = store::Log::open(env, options());
    log->reset();
    require(again.has_value() && read_all(*(*again)->read_from(1), *added) == numbers);
    return 0;
}
