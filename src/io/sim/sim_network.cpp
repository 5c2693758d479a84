#include "io/sim/sim_network.h"

#include "io/sim/sim_connection.h"
#include "io/sim/sim_env.h"
#include "io/sim/sim_world.h"

#include <utility>

namespace brim::io {

namespace {

constexpr Duration syn_retry = 1s;

SimLinks::ListenKey listen_key(const std::string& machine, const Endpoint& at) {
    if (at.kind == Endpoint::Kind::unix_socket)
        return {machine, "unix:" + at.host};
    return {machine, "tcp:" + std::to_string(at.port)};
}

/// One connection attempt; shared by the caller's handle and the events that move it on.
struct Attempt : std::enable_shared_from_this<Attempt> {
    Attempt(SimEnv& caller, Endpoint target, Mono limit, Connected callback)
        : env(caller), to(std::move(target)), deadline(limit), done(std::move(callback)) {}

    SimEnv& env;
    Endpoint to;
    Mono deadline;
    Connected done;
    bool over = false;

    SimLinks& links() const { return env.machine().world().links(); }

    void finish(Result<std::unique_ptr<Stream>> result);
    void knock();
    void arrive(SimMachine& target);
    void refuse(const SimMachine& target);
};

class SimConnecting final : public Connecting {
public:
    explicit SimConnecting(std::shared_ptr<Attempt> attempt) : attempt_(std::move(attempt)) {}

    ~SimConnecting() override { attempt_->over = true; }

private:
    std::shared_ptr<Attempt> attempt_;
};

void Attempt::finish(Result<std::unique_ptr<Stream>> result) {
    if (over)
        return;
    env.sim_loop().enter("connected", [self = shared_from_this(), held = std::move(result)]() mutable {
        if (std::exchange(self->over, true))
            return;
        auto call = std::move(self->done); // the call may destroy the handle
        call(std::move(held));
    });
}

void Attempt::knock() {
    auto& world = env.machine().world();
    if (over || !env.alive())
        return;
    auto* target = to.kind == Endpoint::Kind::tcp ? links().resolve(to.host, env.machine()) : &env.machine();
    if (!target)
        return finish(fail(Errc::unavailable, to.text(), "no such host", "check the name and the DNS server")
        );
    const auto& here = env.machine().name();
    const bool passes =
        target->powered() && !links().blocked(here, target->name()) && !links().blocked(target->name(), here);
    const auto at = world.now() + (passes ? links().travel_time(here, target->name(), 0) : syn_retry);
    if (!passes && at > deadline) {
        world.schedule(deadline, env.lane(), [self = shared_from_this()] {
            self->finish(fail(Errc::timeout, self->to.text(), "no answer in time", "check the network"));
        });
        return;
    }
    world.schedule(at, env.lane(), [self = shared_from_this(), target, passes] {
        if (passes)
            self->arrive(*target);
        else
            self->knock();
    });
}

void Attempt::refuse(const SimMachine& target) {
    auto& world = env.machine().world();
    const auto back = links().travel_time(target.name(), env.machine().name(), 0);
    world.schedule(world.now() + back, env.lane(), [self = shared_from_this()] {
        self->finish(
            fail(Errc::unavailable, self->to.text(), "connection refused", "check that the server runs")
        );
    });
}

void Attempt::arrive(SimMachine& target) {
    if (over || !env.alive())
        return;
    auto& world = env.machine().world();
    const bool local = to.kind == Endpoint::Kind::unix_socket;
    const auto found = links().listeners.find(listen_key(target.name(), to));
    const bool loopback_only = !local && found != links().listeners.end() && found->second->at().is_local();
    if (!target.powered() || found == links().listeners.end() || links().is_refused(target.name()) ||
        (loopback_only && &target != &env.machine()))
        return refuse(target);
    SimListener& listener = *found->second;
    auto connection = std::make_shared<SimConnection>(links(), world.new_lane());
    links().adopt(connection);
    const auto describe = [&](unsigned side, SimEnv& own, SimEnv& other, std::uint16_t port) {
        auto& end = connection->ends[side];
        end.env = &own;
        end.machine = own.machine().name();
        end.peer.address = local ? "unix:pid=" + std::to_string(other.pid()) + ",uid=0"
                                 : other.machine().address() + ":" + std::to_string(port);
        if (local)
            end.peer.uid = 0;
        if (local)
            end.peer.pid = other.pid();
    };
    describe(0, env, listener.env(), to.port);
    describe(1, listener.env(), env, links().ephemeral_port());
    auto near = std::make_unique<SimStream>(connection, 0);
    auto far = std::make_unique<SimStream>(connection, 1);
    listener.env().sim_loop().enter(
        "accepted",
        [&world, key = found->first, held = std::move(far)]() mutable {
            const auto still = world.links().listeners.find(key);
            if (still != world.links().listeners.end())
                still->second->accept(std::move(held));
        }
    );
    const auto back = links().travel_time(target.name(), env.machine().name(), 0);
    world.schedule(
        world.now() + back,
        env.lane(),
        [self = shared_from_this(), held = std::move(near)]() mutable { self->finish(std::move(held)); }
    );
}

} // namespace

SimListener::SimListener(SimEnv& env, Endpoint at, Accepted accepted)
    : env_(env), at_(std::move(at)), accepted_(std::move(accepted)) {}

SimListener::~SimListener() {
    auto& listeners = env_.machine().world().links().listeners;
    const auto found = listeners.find(listen_key(env_.machine().name(), at_));
    if (found != listeners.end() && found->second == this)
        listeners.erase(found);
}

Result<std::unique_ptr<Listener>> SimNetwork::listen(const Endpoint& at, Accepted accepted) {
    auto& links = env_.machine().world().links();
    if (!env_.alive())
        return fail(Errc::closed, at.text(), "the process was killed");
    Endpoint bound = at;
    if (bound.kind == Endpoint::Kind::tcp && bound.port == 0)
        bound.port = links.ephemeral_port();
    const auto key = listen_key(env_.machine().name(), bound);
    if (links.listeners.contains(key))
        return fail(
            Errc::busy,
            "address " + bound.text(),
            "already in use by process \"" + links.listeners[key]->env().process() + "\"",
            "stop that process or choose another port"
        );
    auto listener = std::make_unique<SimListener>(env_, bound, std::move(accepted));
    links.listeners[key] = listener.get();
    return listener;
}

std::unique_ptr<Connecting> SimNetwork::connect(const Endpoint& to, Duration timeout, Connected done) {
    auto& world = env_.machine().world();
    const auto deadline = world.now() + timeout;
    auto attempt = std::make_shared<Attempt>(env_, to, deadline, std::move(done));
    const bool name = to.kind == Endpoint::Kind::tcp;
    const auto lookup = name ? world.links().dns_delay(to.host) : Duration{10us};
    const bool too_slow = world.now() + lookup > deadline;
    world.schedule(too_slow ? deadline : world.now() + lookup, env_.lane(), [attempt, too_slow] {
        if (!too_slow)
            return attempt->knock();
        attempt->finish(fail(Errc::timeout, attempt->to.text(), "the name was not resolved in time", ""));
    });
    return std::make_unique<SimConnecting>(attempt);
}

} // namespace brim::io
