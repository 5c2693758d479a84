#include "loop_fixture.h"

#include "io/internal/cgroup.h"
#include "io/internal/line_splitter.h"
#include "io/machine_processes.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sys/stat.h>

namespace brim::io {

using testing::LoopFixture;

namespace {

struct ChildFixture : LoopFixture {
    MachineProcesses processes{loop, log};
    std::unique_ptr<Child> child;
    std::vector<std::string> out, err;
    std::size_t lines = 0;
    bool any_cut = false;
    std::optional<ChildExit> exit;

    ChildEvents events() {
        return {
            .on_line =
                [this](ChildEvents::Output from, std::string_view line, bool cut) {
                    ++lines;
                    any_cut = any_cut || cut;
                    auto& into = from == ChildEvents::Output::out ? out : err;
                    if (into.size() < 100)
                        into.emplace_back(line);
                },
            .on_exit = [this](const ChildExit& how) { exit = how; }
        };
    }

    void start(const ChildSpec& spec) {
        auto started = processes.start(spec, events());
        REQUIRE_MESSAGE(started.has_value(), (started ? "" : started.error().text()));
        child = std::move(*started);
    }

    ChildExit run(const ChildSpec& spec, Duration wait_max = 20s) {
        start(spec);
        REQUIRE(until([this] { return exit.has_value(); }, wait_max));
        return *exit;
    }
};

ChildSpec shell(const std::string& script) {
    return {
        .name = "guest",
        .program = "/bin/sh",
        .arguments = {"-c", script},
        .environment = {"PATH=/usr/bin:/bin"}
    };
}

bool process_exists(int pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
    std::string id, name, state;
    status >> id >> name >> state;
    return !state.empty() && state != "Z";
}

} // namespace

TEST_CASE("lines are split at every cut of the input, and long ones are cut at exactly the limit") {
    const Bytes text = "one\n\nthree\nfour";
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        LineSplitter splitter(100);
        std::vector<Bytes> lines;
        for (ByteView part : {ByteView(text).substr(0, cut), ByteView(text).substr(cut)})
            while (auto line = splitter.next(part))
                lines.push_back(line->text);
        CHECK(lines == std::vector<Bytes>{"one", "", "three"});
        CHECK(splitter.rest()->text == "four");
        CHECK_FALSE(splitter.rest());
    }
    for (const std::size_t size : {9U, 10U, 11U}) {
        LineSplitter splitter(10);
        const Bytes line = Bytes(size, 'x') + "\nnext\n";
        ByteView bytes = line;
        const auto first = splitter.next(bytes);
        CHECK(first->text.size() == std::min<std::size_t>(size, 10));
        CHECK(first->cut == (size > 10));
        CHECK(splitter.next(bytes)->text == "next");
    }
}

TEST_CASE("a child says its lines on both outputs and ends with its status, with exactly the environment it "
          "was given") {
    ChildFixture fixture;
    ::setenv("BRIM_TEST_LEAK", "secret", 1);
    ChildSpec spec = shell("pwd; env | sort; echo problem >&2; printf 'no newline'; exit 3");
    spec.environment = {"PATH=/usr/bin:/bin", "GREETING=hello world"};
    spec.working_folder = "/tmp";
    const ChildExit exit = fixture.run(spec);
    CHECK(exit.status == 3);
    CHECK(exit.text == "exit status 3");
    CHECK_FALSE(exit.clean());
    CHECK(fixture.out.front() == "/tmp");
    CHECK(fixture.out.back() == "no newline");
    CHECK(std::find(fixture.out.begin(), fixture.out.end(), "GREETING=hello world") != fixture.out.end());
    for (const auto& line : fixture.out)
        CHECK_FALSE(line.contains("BRIM_TEST_LEAK"));
    CHECK(fixture.err == std::vector<std::string>{"problem"});
    CHECK_FALSE(fixture.child->running());
    ::unsetenv("BRIM_TEST_LEAK");
}

TEST_CASE("what cannot start is named with its step: program, folder, name, variable") {
    ChildFixture fixture;
    const auto failure = [&](const ChildSpec& spec) {
        auto started = fixture.processes.start(spec, fixture.events());
        REQUIRE_FALSE(started.has_value());
        return started.error();
    };
    ChildSpec spec = shell("true");
    spec.program = "/no/such/program";
    CHECK(failure(spec).code == Errc::not_found);
    CHECK(failure(spec).cause.contains("/no/such/program"));
    spec = shell("true");
    spec.working_folder = "/no/such/folder";
    CHECK(failure(spec).cause.contains("working folder"));
    spec = shell("true");
    spec.name = "../escape";
    CHECK(failure(spec).code == Errc::invalid);
    spec.name = std::string(65, 'a');
    CHECK(failure(spec).code == Errc::invalid);
    spec = shell("true");
    spec.environment = {"no equals sign"};
    CHECK(failure(spec).code == Errc::invalid);
    fixture.settle(50ms);
    CHECK(fixture.processes.dying() == 0);
}

TEST_CASE("a guest has no new privileges, its own session, no descriptors of ours and default signals") {
    ChildFixture fixture;
    const Descriptor secret(::open("/etc/hostname", O_RDONLY)); // without CLOEXEC
    fixture.run(
        shell("grep NoNewPrivs /proc/self/status; ls /proc/self/fd | wc -l; ps -o sid= -p $$ || true; "
              "grep -E 'Sig(Blk|Ign)' /proc/self/status")
    );
    CHECK(fixture.out.at(0).contains("1"));
    CHECK(std::atoi(fixture.out.at(1).c_str()) <= 4); // 0, 1, 2 and ls's own
    for (const auto& line : fixture.out)
        if (line.starts_with("Sig"))
            CHECK_MESSAGE(line.contains("0000000000000000"), line);
}

TEST_CASE("a guest runs as the user it was given") {
    if (::geteuid() != 0)
        return;
    ChildFixture fixture;
    ChildSpec spec = shell("id -u; id -g; id -G");
    spec.uid = 65534;
    spec.gid = 65534;
    fixture.run(spec);
    CHECK(fixture.out == std::vector<std::string>{"65534", "65534", "65534"});
}

TEST_CASE("terminate() asks first and kills what ignores it, with all it started") {
    ChildFixture fixture;
    SUBCASE("one that listens") {
        fixture.start(shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"));
        REQUIRE(fixture.until([&] { return !fixture.out.empty(); }));
        fixture.child->terminate(5s);
        CHECK(fixture.until([&] { return fixture.exit.has_value(); }, 4s));
        CHECK(fixture.exit->clean());
        CHECK(fixture.out.back() == "bye");
    }
    SUBCASE("one that does not, and its grandchildren, even one with a session of its own") {
        fixture.start(shell(
            "trap '' TERM; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; while :; do sleep 1; done"
        ));
        REQUIRE(fixture.until([&] { return fixture.out.size() == 2; }));
        fixture.settle(50ms);
        fixture.child->terminate(100ms);
        CHECK(fixture.until([&] { return fixture.exit.has_value(); }, 3s));
        CHECK(fixture.exit->signal == SIGKILL);
        CHECK(fixture.exit->text.contains("killed by signal 9"));
        CHECK(fixture.until([&] { return !process_exists(std::atoi(fixture.out[0].c_str())); }, 2s));
        const CgroupRoot root = CgroupRoot::find("/sys/fs/cgroup", "/proc/self/cgroup", "brim-probe");
        root.remove();
        if (root.kind != LimitKind::rlimit)
            CHECK(fixture.until([&] { return !process_exists(std::atoi(fixture.out[1].c_str())); }, 2s));
        else
            ::kill(std::atoi(fixture.out[1].c_str()), SIGKILL);
    }
}

TEST_CASE("destroying a child kills it and leaves nothing: no process, no watch, no folder") {
    std::string folder;
    int pid = 0;
    {
        ChildFixture fixture;
        fixture.start(shell("echo up; sleep 1000"));
        REQUIRE(fixture.until([&] { return !fixture.out.empty(); }));
        pid = static_cast<int>(fixture.child->pid());
        fixture.child.reset();
        CHECK(fixture.until([&] { return fixture.processes.dying() == 0; }, 3s));
        CHECK_FALSE(process_exists(pid));
        CHECK_FALSE(fixture.exit.has_value());
        CHECK(fixture.loop.watches() == 0);
        CHECK(fixture.loop.timers() == 0);
    }
    const CgroupRoot root = CgroupRoot::find("/sys/fs/cgroup", "/proc/self/cgroup", "brim-probe");
    root.remove();
    if (!root.memory.empty()) {
        folder =
            std::filesystem::path(root.memory).parent_path().string() + "/brim-" + std::to_string(::getpid());
        CHECK_FALSE(std::filesystem::exists(folder));
    }
}

TEST_CASE("a child may be destroyed by its own line and by its own end") {
    ChildFixture fixture;
    auto events = fixture.events();
    events.on_line = [&](auto, auto, auto) { fixture.child.reset(); };
    fixture.child =
        std::move(*fixture.processes.start(shell("echo a; echo b; sleep 1000"), std::move(events)));
    CHECK(fixture.until([&] { return fixture.child == nullptr; }));
    bool ended = false;
    events = fixture.events();
    events.on_exit = [&](const ChildExit&) {
        fixture.child.reset();
        ended = true;
    };
    fixture.child = std::move(*fixture.processes.start(shell("exit 0"), std::move(events)));
    CHECK(fixture.until([&] { return ended; }));
    CHECK(fixture.child == nullptr);
}

TEST_CASE("a crash is told by its signal") {
    ChildFixture fixture;
    const ChildExit exit = fixture.run(shell("kill -SEGV $$"));
    CHECK(exit.signal == SIGSEGV);
    CHECK(exit.text == "killed by signal 11 (Segmentation fault)");
    CHECK_FALSE(exit.memory_limit);
}

TEST_CASE("a guest that eats memory is stopped at its limit and says so; one below the limit is left alone") {
    ChildFixture fixture;
    ChildSpec spec = shell("");
    spec.program = "/bin/dd"; // its one buffer is as large as bs
    spec.arguments = {"if=/dev/zero", "of=/dev/null", "count=1", "bs=300M"};
    spec.memory_bytes_max = 64 * 1024 * 1024;
    fixture.start(spec);
    const LimitKind kind = fixture.child->limit_kind();
    MESSAGE("memory limit held by " << limit_kind_name(kind));
    CHECK(kind != LimitKind::none);
    REQUIRE(fixture.until([&] { return fixture.exit.has_value(); }, 30s));
    CHECK_FALSE(fixture.exit->clean());
    if (kind != LimitKind::rlimit) {
        CHECK(fixture.exit->memory_limit);
        CHECK(fixture.exit->text == "killed by signal 9 (memory limit)");
    }
    fixture.exit.reset();
    spec.arguments.back() = "bs=20M";
    CHECK(fixture.run(spec).clean());
}

TEST_CASE("a guest cannot have more processes or open files than its limits") {
    ChildFixture fixture;
    ChildSpec spec = shell("for i in 1 2 3 4 5 6 7 8 9 10; do sleep 30 & done; echo all started");
    spec.processes_max = 5;
    if (::geteuid() == 0)
        spec.uid = spec.gid = 65533;
    CHECK_FALSE(fixture.run(spec).clean());
    for (const auto& line : fixture.out)
        CHECK_FALSE(line.contains("all started"));

    fixture.exit.reset();
    fixture.out.clear();
    spec = shell("ulimit -n");
    spec.open_files_max = 32;
    CHECK(fixture.run(spec).clean());
    CHECK(fixture.out == std::vector<std::string>{"32"});
}

TEST_CASE("a flood of output is read in bounded steps, cut lines are marked, and other work goes on") {
    ChildFixture fixture;
    fixture.start(shell("head -c 20000 /dev/zero | tr '\\0' x; echo; exec yes"));
    int ticks = 0;
    Timer timer(fixture.loop);
    std::function<void()> tick = [&] {
        ++ticks;
        timer.start(5ms, tick);
    };
    tick();
    // However slow the machine: while the flood lasts, both go on.
    for (int i = 0; i < 100 && (ticks <= 10 || fixture.lines <= 1'000); ++i)
        fixture.settle(100ms);
    CHECK(ticks > 10);
    CHECK(fixture.lines > 1'000);
    CHECK(fixture.any_cut);
    CHECK(fixture.out.front().size() == ChildLimits::line_bytes_max);
    fixture.child->terminate(1s);
    CHECK(fixture.until([&] { return fixture.exit.has_value(); }, 3s));
    CHECK(fixture.exit->signal == SIGTERM);
    tick = [] {};
}

TEST_CASE("control groups of version 2 are used when their controllers can be handed down") {
    // The build machine has version 1 only: a folder tree shows which files are written.
    const std::string mount = "/tmp/brim-cg-" + std::to_string(::getpid());
    const std::string own = mount + "/unit.service";
    std::filesystem::create_directories(own + "/brim-7/guest");
    const auto file = [](const std::string& path, const std::string& text) { std::ofstream(path) << text; };
    const auto read = [](const std::string& path) {
        std::ifstream in(path);
        return std::string(std::istreambuf_iterator<char>(in), {});
    };
    file(mount + "/cgroup.controllers", "cpu memory pids\n");
    file(own + "/cgroup.controllers", "cpu memory pids\n");
    file(own + "/cgroup.subtree_control", "");
    file(own + "/brim-7/cgroup.subtree_control", "");
    for (const char* name :
         {"memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cgroup.procs", "cgroup.kill"})
        file(own + "/brim-7/guest/" + name, "");
    file(mount + "/self", "1:name=systemd:/x\n0::/unit.service\n");
    const CgroupRoot root = CgroupRoot::find(mount, mount + "/self", "brim-7");
    CHECK(root.kind == LimitKind::cgroup_v2);
    CHECK(read(own + "/cgroup.subtree_control") == "+memory +pids");
    auto group = root.make("guest", 1'000'000, 7);
    REQUIRE(group);
    CHECK(read(own + "/brim-7/guest/memory.max") == "1000000");
    CHECK(read(own + "/brim-7/guest/memory.swap.max") == "0");
    CHECK(read(own + "/brim-7/guest/pids.max") == "7");
    CHECK(group->open_joins().size() == 1);
    CHECK_FALSE(group->memory_limit_hit());
    file(own + "/brim-7/guest/memory.events", "low 0\noom 1\noom_kill 1\n");
    CHECK(group->memory_limit_hit());
    group->kill_all();
    CHECK(read(own + "/brim-7/guest/cgroup.kill") == "1");

    file(own + "/cgroup.controllers", "cpu\n");
    CHECK(CgroupRoot::find(mount, mount + "/self", "brim-7").kind == LimitKind::rlimit);
    std::filesystem::remove_all(mount);
}

} // namespace brim::io
