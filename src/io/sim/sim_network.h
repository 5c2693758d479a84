#pragma once
// Listening and connecting, as one simulated process does it. Private to sim/.

#include "io/net.h"
#include "io/sim/sim_links.h"

#include <memory>
#include <string>

namespace brim::io {

class SimEnv;

class SimListener final : public Listener {
public:
    SimListener(SimEnv& env, Endpoint at, Accepted accepted);
    ~SimListener() override;

    Endpoint local() const override { return at_; }

    SimEnv& env() const noexcept { return env_; }

    const Endpoint& at() const noexcept { return at_; }

    void accept(std::unique_ptr<Stream> stream) { accepted_(std::move(stream)); }

private:
    SimEnv& env_;
    Endpoint at_;
    Accepted accepted_;
};

class SimNetwork final : public Network {
public:
    explicit SimNetwork(SimEnv& env) : env_(env) {}

    Result<std::unique_ptr<Listener>> listen(const Endpoint& at, Accepted accepted) override;
    std::unique_ptr<Connecting> connect(const Endpoint& to, Duration timeout, Connected done) override;

private:
    SimEnv& env_;
};

} // namespace brim::io
