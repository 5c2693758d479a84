// [B-13] Bridges that cannot work, made and taken away again and again on the real system: what is left.

#include "base/tests/temporary_folder.h"
#include "broker/bridge_set.h"
#include "io/real_env.h"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <unistd.h>

using namespace brim;
using namespace brim::broker;
using namespace std::chrono_literals;

namespace {

namespace fs = std::filesystem;

struct Nobody final : LocalBroker {
    void publish(const MessagePtr&, Done done) override { done({}); }
};

/// What a process holds of the system.
struct Held {
    std::ptrdiff_t descriptors = std::distance(fs::directory_iterator("/proc/self/fd"), {});
    std::ptrdiff_t threads = std::distance(fs::directory_iterator("/proc/self/task"), {});
};

class Workshop {
public:
    Workshop() {
        std::ofstream(folder_.path() / "file") << "no folder";
        // Takes every connection and hangs up at once.
        auto rude = env_.net().listen(
            {io::Endpoint::Kind::tcp, "127.0.0.1", 0},
            [this](std::unique_ptr<io::Stream> stream) {
                ++visits_;
                stream->close();
            }
        );
        REQUIRE(rude.has_value());
        rude_ = std::move(*rude);
        // Was free a moment ago: nobody listens there.
        auto brief = env_.net().listen({io::Endpoint::Kind::tcp, "127.0.0.1", 0}, [](auto) {});
        REQUIRE(brief.has_value());
        closed_ = (*brief)->local();
    }

    ~Workshop() { ::close(null_); }

    /// A bridge to nobody, one to a peer that hangs up, one that cannot be opened; each tried, then taken
    /// away.
    void try_all() {
        for (const io::Endpoint& to : {closed_, rude_->local()}) {
            auto bridges = std::make_unique<BridgeSet>(env_, local_, "here");
            const auto added = bridges->add(settings(to, folder_.path() / "queue"));
            REQUIRE(added.has_value());
            bridges->start();
            until([&] { return (*added)->stats().last_error.has_value(); });
            bool is_stopped = false;
            bridges->stop([&is_stopped] { is_stopped = true; });
            until([&] { return is_stopped; });
        }
        BridgeSet bridges(env_, local_, "here");
        CHECK_FALSE(bridges.add(settings(closed_, folder_.path() / "file" / "queue")).has_value());
        CHECK(bridges.bridges().empty());
    }

    unsigned visits() const { return visits_; }

    /// What was closed in the loop's next turns is closed.
    void settle() {
        for (int turn = 0; turn < 20; ++turn)
            env_.loop().turn(1ms);
    }

private:
    static BridgeSettings settings(const io::Endpoint& to, const fs::path& folder) {
        BridgeSettings made;
        made.name = "north";
        made.to = to;
        made.folder = folder.string();
        made.backoff_min = 100ms;
        made.rules = {{BridgeDirection::both, "a/#", 1, "", ""}};
        made.queue_bytes_max = 8'388'608;
        return made;
    }

    template <class Done> void until(Done done) {
        const Mono give_up = clock_.mono() + 20s;
        while (!done() && clock_.mono() < give_up)
            env_.loop().turn(5ms);
        REQUIRE(done());
    }

    SystemClock clock_;
    int null_ = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    Log log_{clock_, Log::Options{.fd = null_}};
    Metrics metrics_;
    io::RealEnv env_{log_, metrics_};
    Nobody local_;
    testing::TemporaryFolder folder_;
    std::unique_ptr<io::Listener> rude_;
    io::Endpoint closed_;
    unsigned visits_ = 0;
};

} // namespace

TEST_CASE("[B-13] bridges that cannot work leave no descriptor and no thread behind") {
    Workshop workshop;
    workshop.try_all();
    workshop.settle();
    const Held before;
    for (int i = 0; i < 100; ++i)
        workshop.try_all();
    workshop.settle();
    const Held after;
    CHECK(after.descriptors == before.descriptors);
    CHECK(after.threads == before.threads);
    CHECK(workshop.visits() >= 100);
}
