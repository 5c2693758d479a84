// The log's recovery and reader against damaged folders. The input first builds nothing: a healthy log of
// three segments is made once; the input then says which bytes of which file become what, and the log must
// open, serve only records that were appended, in order, and take new ones.

#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"
#include "store/log.h"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace brim;

constexpr std::size_t records = 160;

store::LogOptions options() {
    return {
        .folder = "/log",
        .name = "fuzz",
        .segment_bytes = 65'536,
        .bytes_max = 16ull * 65'536,
        .record_bytes_max = 16'384,
        .pending_bytes_max = 1'048'576,
    };
}

std::string body_of(store::Seq seq) {
    return std::to_string(seq) + ":" + std::string(1'000, static_cast<char>('a' + seq % 26));
}

void require(bool held) {
    if (!held)
        std::abort();
}

using Files = std::vector<std::pair<std::string, Bytes>>;

Files make_healthy() {
    io::SimWorld world(1);
    auto& machine = world.machine("edge");
    auto log = store::Log::open(machine.env(), options());
    require(log.has_value());
    for (store::Seq seq = 1; seq <= records; ++seq) {
        require((*log)->append(body_of(seq)).has_value());
        if (seq % 8 == 0)
            world.run_for(10ms);
    }
    world.run_for(1s);
    log->reset();
    Files files;
    for (const auto& path : machine.disk().paths())
        if (path.ends_with(".log"))
            files.emplace_back(path, machine.disk().content(path));
    return files;
}

/// Each edit: file (1), place (2), length (1), bytes.
void edit(Files& files, Reader in) {
    while (in.more()) {
        auto& content = files[in.u8() % files.size()].second;
        const std::size_t at = in.u16() % content.size();
        const std::uint8_t length = in.u8();
        if (length == 0) {
            content.resize(at + 1); // cut short
            continue;
        }
        const ByteView bytes = in.view(std::min<std::size_t>(length, in.remaining()));
        content.replace(at, bytes.size(), bytes);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Files healthy = make_healthy();
    Files files = healthy;
    edit(files, Reader(ByteView(reinterpret_cast<const char*>(data), size), "edits"));

    io::SimWorld world(2);
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
    store::Record record;
    store::Seq last = 0;
    while (true) {
        const auto more = reader->next(record);
        require(more.has_value());
        if (!*more)
            break;
        require(record.seq > last && record.body == body_of(record.seq));
        last = record.seq;
    }
    const auto added = (*log)->append("new");
    require(added.has_value() && *added > last);
    world.run_for(1s);
    require(reader->next(record).value_or(false) && record.body == "new");
    return 0;
}
