#include "io/memory_limit.h"

#include <doctest/doctest.h>

#include <map>

namespace brim::io {

namespace {

/// A machine's files; memory_use() sees nothing else.
struct Files {
    std::map<std::string, std::string> texts{
        {"/proc/meminfo", "MemTotal:       16000000 kB\nMemFree:  1 kB\nMemAvailable: 2 kB\n"},
        {"/proc/self/status", "Name:\tbrim-hub\nVmPeak:\t  900 kB\nVmRSS:\t   50000 kB\n"},
    };

    MemoryUse use() const {
        return memory_use([this](const std::string& path) -> std::optional<std::string> {
            const auto found = texts.find(path);
            return found == texts.end() ? std::nullopt : std::optional(found->second);
        });
    }

    /// A version 2 group.
    void group2(const std::string& folder, const std::string& limit, const std::string& used) {
        texts[folder + "/memory.max"] = limit + "\n";
        texts[folder + "/memory.current"] = used + "\n";
        texts[folder + "/memory.stat"] = "anon 5\nfile 900\ninactive_file 600\nactive_file 200\n";
    }

    void group1(const std::string& folder, const std::string& limit, const std::string& used) {
        texts[folder + "/memory.limit_in_bytes"] = limit + "\n";
        texts[folder + "/memory.usage_in_bytes"] = used + "\n";
        texts[folder + "/memory.stat"] =
            "cache 1\ninactive_file 7\nactive_file 8\ntotal_inactive_file 3000\ntotal_active_file 1000\n";
    }
};

constexpr std::uint64_t mebi = 1'024 * 1'024;

} // namespace

TEST_CASE("a limit is a number; both ways of saying none, and what is no number, are none") {
    CHECK(parse_memory_bytes("134217728\n") == 134'217'728);
    CHECK(parse_memory_bytes("0\n") == 0);
    for (const char* text :
         {"max\n",
          "9223372036854771712\n",
          "9223372036854710272",
          "",
          "\n",
          "-1",
          "12 kB",
          "12x",
          "99999999999999999999999"})
        CHECK_FALSE(parse_memory_bytes(text).has_value());
}

TEST_CASE("a field is found by its whole name, in bytes, and is 0 when it is not there") {
    constexpr std::string_view stat = "inactive_file_x 1\ntotal_inactive_file 2\ninactive_file 3\nlast 4";
    CHECK(memory_field(stat, "inactive_file") == 3);
    CHECK(memory_field(stat, "last") == 4);
    CHECK(memory_field(stat, "active_file") == 0);
    CHECK(memory_field("MemTotal:  2048 kB\n", "MemTotal") == 2 * mebi);
    CHECK(memory_field("MemTotal:\n", "MemTotal") == 0);
    CHECK(memory_field("MemTotal: much\n", "MemTotal") == 0);
    CHECK(memory_field("MemTotal: 18446744073709551615 kB\n", "MemTotal") == 0);
    CHECK(memory_field("", "MemTotal") == 0);
}

TEST_CASE("our group's path and those above it are read for each hierarchy") {
    constexpr std::string_view text = "12:pids:/p\n4:cpu,memory:/a/b\n0::/user/x\n";
    CHECK(cgroup_paths(text, "memory") == std::vector<std::string>{"/a/b", "/a", ""});
    CHECK(cgroup_paths(text, "") == std::vector<std::string>{"/user/x", "/user", ""});
    CHECK(cgroup_paths("0::/\n", "") == std::vector<std::string>{""});
    CHECK(cgroup_paths("4:memory2:/a\n", "memory").empty());
    CHECK(cgroup_paths("0::/../../elsewhere\n", "") == std::vector<std::string>{""});
    CHECK(cgroup_paths("0::no path\n", "") == std::vector<std::string>{""}); // once ran on for ever
    CHECK(cgroup_paths("", "").empty());
    CHECK(cgroup_paths("no colon at all", "memory").empty());
}

TEST_CASE("[B-86] the limit is the control group's, not the machine's") {
    Files files;
    SUBCASE("version 2") {
        files.texts["/proc/self/cgroup"] = "0::/system.slice/brim.service\n";
        files.texts["/sys/fs/cgroup/cgroup.controllers"] = "memory pids\n";
        files.group2("/sys/fs/cgroup/system.slice/brim.service", "134217728", "100000800");
        files.group2("/sys/fs/cgroup/system.slice", "max", "900000000");
        const MemoryUse use = files.use();
        CHECK(use.limit_bytes == 128 * mebi);
        CHECK(use.used_bytes == 100'000'000); // pages of files are given back first
        CHECK(use.where == "/sys/fs/cgroup/system.slice/brim.service/memory.max");
    }
    SUBCASE("version 1") {
        files.texts["/proc/self/cgroup"] = "4:memory:/brim\n";
        files.group1("/sys/fs/cgroup/memory/brim", "134217728", "100004000");
        files.group1("/sys/fs/cgroup/memory", "9223372036854771712", "900000000");
        const MemoryUse use = files.use();
        CHECK(use.limit_bytes == 128 * mebi);
        CHECK(use.used_bytes == 100'000'000);
    }
    SUBCASE("both mounted, the controller in version 1") {
        files.texts["/proc/self/cgroup"] = "4:memory:/brim\n0::/brim\n";
        files.group1("/sys/fs/cgroup/memory/brim", "134217728", "5000");
        CHECK(files.use().limit_bytes == 128 * mebi);
    }
    SUBCASE("in a container that names the host's path, but sees only its own group") {
        files.texts["/proc/self/cgroup"] = "4:memory:/docker/0123\n";
        files.group1("/sys/fs/cgroup/memory", "134217728", "5000");
        CHECK(files.use().limit_bytes == 128 * mebi);
    }
}

TEST_CASE("the smallest limit above us wins, with the use of the group it is of") {
    Files files;
    files.texts["/proc/self/cgroup"] = "0::/a/b\n";
    files.texts["/sys/fs/cgroup/cgroup.controllers"] = "memory\n";
    files.group2("/sys/fs/cgroup/a/b", "500000000", "1800");
    files.group2("/sys/fs/cgroup/a", "300000000", "200000800");
    CHECK(files.use().limit_bytes == 300'000'000);
    CHECK(files.use().used_bytes == 200'000'000);
}

TEST_CASE("without a group's limit it is the machine's memory, and what this process has of it") {
    Files files;
    files.texts["/proc/self/cgroup"] = "0::/a\n";
    files.texts["/sys/fs/cgroup/cgroup.controllers"] = "memory\n";
    SUBCASE("none") {}
    SUBCASE("a group that has none") {
        files.group2("/sys/fs/cgroup/a", "max", "900");
    }
    SUBCASE("one above the machine's") {
        files.group2("/sys/fs/cgroup/a", "99000000000", "900");
    }
    SUBCASE("of no number") {
        files.group2("/sys/fs/cgroup/a", "0", "900");
    }
    SUBCASE("whose use cannot be read") {
        files.texts["/sys/fs/cgroup/a/memory.max"] = "1000";
    }
    CHECK(files.use().limit_bytes == 16'000'000ull * 1'024);
    CHECK(files.use().used_bytes == 50'000ull * 1'024);
    CHECK(files.use().where == "this machine");
}

TEST_CASE("where nothing can be read there is no limit, and file pages above the use make it zero") {
    Files files;
    files.texts["/proc/self/cgroup"] = "0::/a\n";
    files.texts["/sys/fs/cgroup/cgroup.controllers"] = "memory\n";
    files.group2("/sys/fs/cgroup/a", "1000", "700");
    CHECK(files.use().used_bytes == 0);
    files.texts.clear();
    CHECK(files.use().limit_bytes == 0);
}

TEST_CASE("this process has a limit, and uses some of it") {
    const MemoryUse use = memory_use();
    CHECK(use.limit_bytes > 0);
    CHECK(use.used_bytes < use.limit_bytes);
    CHECK_FALSE(use.where.empty());
}

} // namespace brim::io
