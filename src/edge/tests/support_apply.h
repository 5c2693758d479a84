#pragma once
// An edge whose files the test changes: settings, two drivers (three in version 2), a model; and what
// interrupts it while it applies them.

#include "edge/edge.h"
#include "io/sim/sim_world.h"

#include "support_model.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace brim::edge::test {

inline constexpr const char* toml_path = "/etc/edge.toml";

enum class Whole : std::uint8_t { old_one, new_one, mixed };

/// How a change of the files is to be taken: at once, or at the next start (it touches the uplink).
enum class Change : std::uint8_t { at_once, at_start };

struct Operation {
    io::DiskOp op;
    std::string path;
};

inline std::string settings_text(int version, Change change) {
    const std::string inflight = version == 2 && change == Change::at_start ? "32" : "16";
    std::string text = "[edge]\ndata_dir = \"/data\"\n[identity]\nproduct_key = \"a1GATE\"\n"
                       "device_name = \"gate-1\"\ndevice_secret = \"env:EDGE_APPLY_SECRET\"\n"
                       "[uplink]\nurl = \"mqtt://127.0.0.1:1883\"\ninflight = " +
                       inflight +
                       "\n[buffer]\nsegment_bytes = \"64KiB\"\nbytes_max = \"1MiB\"\n"
                       "[bus]\nsocket = \"unix:/run/bus.sock\"\n[http]\nlisten = \"tcp:127.0.0.1:9999\"\n";
    std::vector<std::string> drivers{"pumps", "fans"};
    if (version == 2)
        drivers.emplace_back("doors");
    for (const std::string& name : drivers) {
        text += "[[driver]]\nname = \"" + name + "\"\nprogram = \"/nowhere\"\nconfig_file = \"/etc/" + name +
                ".json\"\nmodels_dir = \"/etc/models\"\n";
    }
    return text;
}

inline std::string driver_text(const std::string& device, int version) {
    return Json::object({{"config", Json::object({{"version", version}})},
                         {"deviceList",
                          Json::array({Json::object(
                              {{"productKey", "a1PUMP"},
                               {"deviceName", device + "-" + std::to_string(version)},
                               {"custom", "{}"}}
                          )})}}
    ).text();
}

/// The model of version 2 calls the speed something else.
inline std::string model_text(int version) {
    std::string text(pump_tsl);
    for (std::size_t at = text.find("Speed"); version == 2 && at != text.npos; at = text.find("Speed", at))
        text.replace(at, 5, "Swing");
    return text;
}

struct ApplyRig {
    io::SimWorld world;
    Change change;
    std::unique_ptr<Edge> edge;
    std::string revision_old, revision_new;
    std::string refusal;

    explicit ApplyRig(std::uint64_t seed, Change how = Change::at_once) : world(seed), change(how) {
        ::setenv("EDGE_APPLY_SECRET", "gateway-secret", 1);
        REQUIRE(disk().make_dir("/run"));
        put_files(2);
        revision_new = read_configuration(disk(), source()).value().revision;
        put_files(1);
        revision_old = read_configuration(disk(), source()).value().revision;
        REQUIRE(revision_new != revision_old);
    }

    ~ApplyRig() { edge.reset(); }

    io::SimMachine& machine() { return world.machine("edge"); }

    io::SimDisk& disk() { return machine().disk(); }

    static ConfigSource source() { return {.file = toml_path, .environment = {}, .sets = {}}; }

    void put_files(int version) {
        disk().put_file(toml_path, settings_text(version, change));
        disk().put_file("/etc/conf.d/10-log.toml", "[log]\nlevel = \"warn\"\n");
        disk().put_file("/etc/models/a1PUMP.json", model_text(version));
        for (const char* name : {"pumps", "fans", "doors"})
            disk().put_file("/etc/" + std::string(name) + ".json", driver_text(name, version));
    }

    void break_files() {
        disk().cut_file(toml_path, disk().content(toml_path).size() - 30);
        disk().put_file("/etc/fans.json", "{\"deviceList\":[");
    }

    bool start() {
        auto startup = prepare_start(machine().env("main").disk(), source(), machine().wall());
        if (!startup) {
            refusal = startup.error().text();
            return false;
        }
        edge = std::make_unique<Edge>(machine().env("main"), nullptr, std::move(*startup));
        const auto started = edge->start();
        if (!started)
            refusal = started.error().text();
        return started.has_value();
    }

    void kill() {
        machine().crash("main");
        edge.reset();
    }

    void power_cut(io::CutMode mode) {
        machine().power_cut(mode);
        edge.reset();
    }

    void reload() {
        edge->reload(source());
        world.run_until(
            [this] { return !edge->reloading() || !machine().running("main"); }, std::chrono::seconds(10)
        );
    }

    /// What runs, by every fact that the two versions differ in.
    Whole running() {
        const ConfigState& state = edge->config_state();
        unsigned of_old = 0, of_new = 0, facts = 0;
        const auto fact = [&](bool is_old, bool is_new) {
            ++facts;
            of_old += is_old ? 1 : 0;
            of_new += is_new ? 1 : 0;
        };
        fact(state.revision == revision_old, state.revision == revision_new);
        const Json status = status_of(*edge)["config"];
        fact(status["revision"].as_string() == revision_old, status["revision"].as_string() == revision_new);
        fact(edge->config().drivers.size() == 2, edge->config().drivers.size() == 3);
        fact(edge->devices().size() == 2, edge->devices().size() == 3);
        if (change == Change::at_start)
            fact(edge->config().uplink.inflight == 16, edge->config().uplink.inflight == 32);
        for (const char* name : {"pumps", "fans"}) {
            const std::string device(name);
            const Device* first = edge->devices().find("a1PUMP", device + "-1");
            const Device* second = edge->devices().find("a1PUMP", device + "-2");
            fact(first && !second, second && !first);
            const Device* one = first ? first : second;
            REQUIRE(one);
            REQUIRE(one->model);
            fact(one->model->property("Speed") != nullptr, one->model->property("Swing") != nullptr);
            const auto told = edge->published().find(name);
            REQUIRE(told != edge->published().end());
            const auto has = [&](const char* text) { return told->second.find(text) != std::string::npos; };
            fact(has("\"version\":1") && has("Speed"), has("\"version\":2") && has("Swing"));
        }
        const auto doors = edge->published().find("doors");
        fact(doors == edge->published().end(), doors != edge->published().end() && !doors->second.empty());
        if (of_old == facts && of_new == 0)
            return Whole::old_one;
        return of_new == facts && of_old == 0 ? Whole::new_one : Whole::mixed;
    }

    /// The operations of one undisturbed reload to version 2.
    std::vector<Operation> trace() {
        std::vector<Operation> operations;
        REQUIRE(start());
        put_files(2);
        disk().on_operation([&](io::DiskOp op, const std::string& path) { operations.push_back({op, path}); }
        );
        reload();
        disk().on_operation({});
        return operations;
    }

    /// Kills the edge when `left` more operations on the disk were made.
    void kill_after(std::size_t left) {
        disk().on_operation([this, left](io::DiskOp, const std::string&) mutable {
            if (left > 0)
                --left;
            if (left == 0)
                machine().crash("main");
        });
        if (left == 0)
            machine().crash("main");
    }
};

} // namespace brim::edge::test
