// The uplink's certificates: a clock that died, and authorities that change while it is connected.

#include "support_rig.h"

#include "io/tls.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::edge;
using namespace brim::edge::test;
using namespace std::chrono_literals;

namespace {

/// An installation whose hub speaks TLS with a certificate of its own, which the edge trusts.
struct TlsRig : Rig {
    explicit TlsRig(std::uint64_t seed) : Rig(seed, 1) {
        config.uplink.tls = true;
        config.uplink.to.port = 8'883;
        config.uplink.ca_file = "/etc/hub.crt";
        show("first");
        trust({"first"});
    }

    /// The hub shows the certificate of that name, made when it is first named.
    void show(const std::string& name) {
        io::Env& env = world.machine("hub").env();
        const io::TlsServerOptions files{
            .certificate_file = file(name, "crt"), .key_file = file(name, "key")
        };
        if (!env.disk().exists(files.certificate_file)) {
            const WallTime now = env.loop().clock().wall();
            REQUIRE(io::make_self_signed(env.disk(), now, files.certificate_file, files.key_file, {"hub"}, 30)
            );
        }
        server_ = std::move(*io::TlsContext::server(env.disk(), files));
    }

    void listen() {
        io::Env& env = world.machine("hub").env();
        hub = std::make_unique<TestHub>(env, recorder);
        const auto at = hub->listen(
            {io::Endpoint::Kind::tcp, "0.0.0.0", 8'883},
            {.wrap =
                 [this, &env](std::unique_ptr<io::Stream> stream) {
                     ++attempts;
                     return io::wrap_server(env.loop(), std::move(stream), *server_);
                 }}
        );
        REQUIRE(at);
    }

    /// The edge's CA file holds these.
    void trust(const std::vector<std::string>& names) {
        Bytes all;
        for (const std::string& name : names)
            all += *io::read_file(world.machine("hub").env().disk(), file(name, "crt"), 65'536);
        REQUIRE(
            io::write_file_atomically(world.machine("edge").env("main").disk(), config.uplink.ca_file, all)
        );
    }

    unsigned attempts = 0; ///< connections that reached the hub

    bool up() const { return edge->uplink().state().up; }

private:
    static std::string file(const std::string& name, const std::string& kind) {
        return "/" + name + "." + kind;
    }

    std::unique_ptr<io::TlsContext> server_;
};

} // namespace

TEST_CASE("[F-24] the very first handshake after a boot with a dead clock is judged by the stored floor") {
    TlsRig rig(41);
    rig.listen();
    rig.start_edge();
    rig.world.run_for(130s); // the floor was stored about every minute
    REQUIRE(rig.up());
    rig.power_cut();
    rig.world.machine("edge").set_wall(WallTime{5'000});
    rig.start_edge();
    rig.world.run_for(10s);
    CHECK(rig.edge->clock_floor().clock_is_behind());
    CHECK(rig.up());
    CHECK(rig.attempts == 2); // one before the power cut, one after it
}

TEST_CASE("[F-67] a new authority beside the old one is taken without a break, and lets the hub change over"
) {
    TlsRig rig(42);
    rig.listen();
    rig.start_edge();
    rig.world.run_for(10s);
    REQUIRE(rig.up());
    rig.show("second");
    rig.trust({"first", "second"});
    rig.edge->reload(source_of(rig.config));
    rig.world.run_for(10s);
    CHECK(rig.edge->config_state().error == std::nullopt);
    CHECK(rig.up());
    CHECK(rig.edge->uplink().state().connects == 1);
    rig.world.links().reset("edge", "hub");
    rig.world.run_for(10s);
    CHECK(rig.up());
    CHECK(rig.edge->uplink().state().connects == 2);
}

TEST_CASE("[F-67] a hub whose authority is no longer trusted loses the edge at the reload, with the reason") {
    TlsRig rig(43);
    rig.listen();
    rig.start_edge();
    rig.world.run_for(10s);
    REQUIRE(rig.up());
    rig.show("second");
    rig.show("first"); // still: the second is not in use yet
    rig.trust({"second"});
    rig.edge->reload(source_of(rig.config));
    rig.world.run_for(5s);
    CHECK_FALSE(rig.up());
    REQUIRE(rig.edge->uplink().state().last_error);
    CHECK(rig.edge->uplink().state().last_error->text().find("not trusted") != std::string::npos);
}

TEST_CASE("a CA file that is no certificate is refused as a whole, and the old one serves on") {
    TlsRig rig(44);
    rig.listen();
    rig.start_edge();
    rig.world.run_for(10s);
    io::Disk& disk = rig.world.machine("edge").env("main").disk();
    REQUIRE(io::write_file_atomically(disk, rig.config.uplink.ca_file, "nonsense"));
    rig.edge->reload(source_of(rig.config));
    rig.world.run_for(5s);
    REQUIRE(rig.edge->config_state().error);
    CHECK(rig.edge->config_state().error->object == "file /etc/hub.crt");
    rig.world.links().reset("edge", "hub");
    rig.world.run_for(10s);
    CHECK(rig.up());
}
