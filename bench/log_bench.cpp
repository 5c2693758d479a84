// How fast records of 256 bytes become durable: our log, a bare loop over a preallocated file (the limit) and
// SQLite with synchronous=FULL (the peer), each batch acknowledged after its sync. Rounds alternate; medians
// are compared.
//
//   log_bench [--json FILE] [--folder DIR] [--ms MS]   DIR on the disk to measure, default "."; MS for each
//   figure

#include "base/log.h"
#include "io/real_env.h"
#include "store/log.h"
#include "store/sqlite.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace brim;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t record_bytes = 256;
// Short and many: on a shared disk a neighbour's burst then spoils a few rounds, not the median.
constexpr std::size_t rounds = 24;
constexpr std::uint32_t segment_bytes = 8'388'608;
constexpr std::array<std::size_t, 4> batches{1, 10, 100, 1000};

struct Options {
    std::string json;
    std::string folder = ".";
    int ms = 40;
};

[[noreturn]] void give_up(const std::string& why) {
    std::fprintf(stderr, "log_bench: %s\n", why.c_str());
    std::exit(1);
}

template <class T> T value_of(Result<T> result) {
    if (!result)
        give_up(result.error().text());
    if constexpr (!std::is_void_v<T>)
        return std::move(*result);
}

/// Calls `one_batch` for the given time; records per second.
template <class Batch> double measure(int ms, std::size_t batch, Batch&& one_batch) {
    const auto warm = SteadyClock::now() + std::chrono::milliseconds(ms / 4);
    do
        one_batch();
    while (SteadyClock::now() < warm);
    const auto start = SteadyClock::now();
    const auto end = start + std::chrono::milliseconds(ms);
    std::size_t records = 0;
    while (SteadyClock::now() < end) {
        one_batch();
        records += batch;
    }
    return static_cast<double>(records) / std::chrono::duration<double>(SteadyClock::now() - start).count();
}

class OurLog {
public:
    explicit OurLog(const std::string& folder) : env_(log_, metrics_) {
        store::LogOptions options;
        options.folder = folder;
        options.segment_bytes = segment_bytes;
        options.bytes_max = 8ull * segment_bytes;
        store_ = value_of(store::Log::open(env_, options));
        // As in service: segments have been used before and are recycled.
        while (store_->stats().dropped_records == 0)
            batch(1000);
    }

    void batch(std::size_t count) {
        store::Seq last = 0;
        for (std::size_t at = 0; at < count; ++at)
            last = value_of(store_->append(body_));
        bool done = false;
        store_->when_durable(last, [&](Result<void> result) {
            value_of(std::move(result));
            done = true;
        });
        while (!done)
            env_.loop().turn(1s);
    }

private:
    SystemClock clock_;
    brim::Log log_{clock_, {.level = LogLevel::error}};
    Metrics metrics_;
    io::RealEnv env_;
    std::unique_ptr<store::Log> store_;
    std::string body_ = std::string(record_bytes, 'b');
};

/// The least a durable log can do: copy the records behind each other, one write and one sync a batch.
class BareLoop {
public:
    explicit BareLoop(const std::string& path) : fd_(::open(path.c_str(), O_RDWR | O_CREAT, 0600)) {
        const std::string zeros(segment_bytes, '\0');
        if (fd_ < 0 || ::pwrite(fd_, zeros.data(), zeros.size(), 0) != segment_bytes || ::fsync(fd_) != 0)
            give_up("cannot prepare " + path);
    }

    ~BareLoop() { ::close(fd_); }

    void batch(std::size_t count) {
        buffer_.clear();
        for (std::size_t at = 0; at < count; ++at)
            buffer_.append(body_);
        if (offset_ + buffer_.size() > segment_bytes)
            offset_ = 0;
        const auto wrote = ::pwrite(fd_, buffer_.data(), buffer_.size(), static_cast<off_t>(offset_));
        if (wrote != static_cast<ssize_t>(buffer_.size()) || ::fdatasync(fd_) != 0)
            give_up("the bare loop cannot write");
        offset_ += buffer_.size();
    }

private:
    int fd_;
    std::size_t offset_ = 0;
    std::string buffer_;
    std::string body_ = std::string(record_bytes, 'b');
};

class SqliteTable {
public:
    explicit SqliteTable(const std::string& path)
        : database_(value_of(store::Database::open(disk_, path, store::Durability::full))),
          insert_(prepare()) {}

    void batch(std::size_t count) {
        auto transaction = value_of(store::Transaction::begin(*database_));
        for (std::size_t at = 0; at < count; ++at)
            value_of(insert_.bind_blob(1, body_).run());
        value_of(transaction.commit());
    }

private:
    store::Statement prepare() {
        value_of(database_->execute("CREATE TABLE records(seq INTEGER PRIMARY KEY, body BLOB)"));
        return value_of(database_->prepare("INSERT INTO records(body) VALUES(?1)"));
    }

    io::PosixDisk disk_;
    std::unique_ptr<store::Database> database_;
    store::Statement insert_;
    std::string body_ = std::string(record_bytes, 'b');
};

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

std::string range_of(std::vector<double> values) {
    std::ranges::sort(values);
    return std::to_string(static_cast<long>(values.front())) + ".." +
           std::to_string(static_cast<long>(values.back()));
}

Options parse(int argc, char** argv) {
    Options options;
    for (int at = 1; at + 1 < argc; at += 2) {
        const std::string_view name = argv[at];
        if (name == "--json")
            options.json = argv[at + 1];
        else if (name == "--folder")
            options.folder = argv[at + 1];
        else if (name == "--ms")
            options.ms = std::atoi(argv[at + 1]);
        else
            give_up("unknown option " + std::string(name));
    }
    return options;
}

std::string row_json(std::size_t batch, double ours, double peer, double limit) {
    char text[256];
    std::snprintf(
        text,
        sizeof text,
        R"({"name":"log, 256 B, batch %zu, synced","unit":"records/s","ours":%.0f,"peer":%.0f,"limit":%.0f,)"
        R"("ratio_peer":%.2f,"ratio_limit":%.2f})",
        batch,
        ours,
        peer,
        limit,
        ours / peer,
        ours / limit
    );
    return text;
}

} // namespace

int main(int argc, char** argv) {
    const Options options = parse(argc, argv);
    const std::string folder = options.folder + "/log_bench." + std::to_string(::getpid());
    std::filesystem::create_directories(folder);
    std::string json;
    {
        OurLog ours(folder + "/ours");
        BareLoop bare(folder + "/bare");
        SqliteTable sqlite(folder + "/peer.db");
        std::printf(
            "%-8s %12s %12s %12s %8s %8s  range of ours\n",
            "batch",
            "ours/s",
            "sqlite/s",
            "bare/s",
            "x peer",
            "x bare"
        );
        for (const std::size_t batch : batches) {
            std::vector<double> a;
            std::vector<double> b;
            std::vector<double> c;
            // Every order in turn: what one of them leaves to the disk (a journal commit, a checkpoint) must
            // not always hit the same next one.
            std::array<char, 3> order{'a', 'b', 'c'};
            for (std::size_t round = 0; round < rounds; ++round) {
                for (const char who : order) {
                    if (who == 'a')
                        a.push_back(measure(options.ms, batch, [&] { ours.batch(batch); }));
                    else if (who == 'b')
                        b.push_back(measure(options.ms, batch, [&] { sqlite.batch(batch); }));
                    else
                        c.push_back(measure(options.ms, batch, [&] { bare.batch(batch); }));
                }
                std::ranges::next_permutation(order);
            }
            const double our = median(a);
            const double peer = median(b);
            const double limit = median(c);
            const auto range = range_of(a);
            std::printf(
                "%-8zu %12.0f %12.0f %12.0f %8.2f %8.2f  %s\n",
                batch,
                our,
                peer,
                limit,
                our / peer,
                our / limit,
                range.c_str()
            );
            json += (json.empty() ? "[\n" : ",\n") + row_json(batch, our, peer, limit);
        }
    }
    std::filesystem::remove_all(folder);
    if (!options.json.empty())
        std::ofstream(options.json) << json << "\n]\n";
    return 0;
}
