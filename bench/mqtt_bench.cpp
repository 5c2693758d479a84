// An honest MQTT load generator, and the bare loop that says what this machine could do at best.
//
//   mqtt_bench MODE [options]     prints one JSON object
//
//   fanin    P publishers, each to its own topic b/<i>/t, S subscribers on b/+/t
//   fanout   1 publisher, S subscribers on its topic
//   pairs    publisher i -> subscriber i
//   connect  N connections in total that come and go, C in progress at once
//   idle     N connections that stay and do nothing
//   storm    N clients that lose their connections at once and all come back at once
//   retain   fills a broker with N retained messages
//   replay   S clients ask for N retained messages at once
//   forward  a "broker" that knows frame lengths only: the limit for the three loads (3.1.1, any QoS)
//   accept   a "broker" that answers CONNACK only: the limit for connect
//   disk     write a batch, fdatasync, and again: the limit of what is acknowledged from disk
//
// The load is open loop (-r RATE: each message has an intended time, and its latency counts from that) or
// closed loop (at most -w messages of a publisher are outstanding end to end). CPU time is the kernel's, in
// nanoseconds, for the broker (--pid) and for the generator separately.

#include "mqtt/meters.h"
#include "mqtt/options.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>

namespace {

using brim::bench::Options;

[[noreturn]] void usage() {
    std::fputs(
        "usage: mqtt_bench fanin|fanout|pairs|connect|idle|storm|retain|replay|forward|accept|disk "
        "[options]\n"
        "  -h HOST -p PORT -P publishers -S subscribers -q QOS -s payload bytes -r total rate -w window\n"
        "  -W warm-up s -d seconds -D drain s -V 4|5 --shared --tls --resume --busy --pid BROKER --label "
        "TEXT\n"
        "  --persist --fresh --extra SUBSCRIPTIONS --wild --stalled N                (loads)\n"
        "  -n connections -c concurrent --sub --srcs N --dsts N --procs N --hold S    (connect, idle, "
        "storm)\n"
        "  --pairs --nobatch                                                         (forward)\n"
        "  -n topics -s bytes -S subscribers -d seconds                              (retain, replay)\n"
        "  -n records -s bytes -W s -d s --folder DIR                                (disk)\n",
        stderr
    );
    std::exit(1);
}

Options parse(int argc, char** argv) {
    if (argc < 2)
        usage();
    Options made;
    made.mode = argv[1];
    const std::map<std::string_view, int*> integers{
        {"-p", &made.port},
        {"-P", &made.publishers},
        {"-S", &made.subscribers},
        {"-q", &made.qos},
        {"-s", &made.payload_bytes},
        {"-w", &made.window},
        {"-V", &made.version},
        {"-n", &made.total},
        {"-c", &made.concurrent},
        {"--pid", &made.broker_pid},
        {"--srcs", &made.sources},
        {"--dsts", &made.destinations},
        {"--procs", &made.processes},
        {"--extra", &made.extra},
        {"--stalled", &made.stalled},
    };
    const std::map<std::string_view, double*> reals{
        {"-r", &made.rate},
        {"-W", &made.warm_s},
        {"-d", &made.measure_s},
        {"-D", &made.drain_s},
        {"--hold", &made.hold_s},
    };
    const std::map<std::string_view, std::string*> texts{
        {"-h", &made.host},
        {"--label", &made.label},
        {"--folder", &made.folder},
    };
    const std::map<std::string_view, bool*> flags{
        {"--shared", &made.shared},
        {"--tls", &made.tls},
        {"--resume", &made.resume},
        {"--busy", &made.busy},
        {"--sub", &made.subscribe},
        {"--pairs", &made.pairs},
        {"--persist", &made.persistent},
        {"--fresh", &made.fresh},
        {"--wild", &made.wild},
    };
    for (int i = 2; i < argc; ++i) {
        const std::string_view option = argv[i];
        if (option == "--nobatch") {
            made.batched = false;
            continue;
        }
        if (const auto flag = flags.find(option); flag != flags.end()) {
            *flag->second = true;
            continue;
        }
        if (++i == argc)
            usage();
        if (const auto integer = integers.find(option); integer != integers.end())
            *integer->second = std::atoi(argv[i]);
        else if (const auto real = reals.find(option); real != reals.end())
            *real->second = std::atof(argv[i]);
        else if (const auto text = texts.find(option); text != texts.end())
            *text->second = argv[i];
        else
            usage();
    }
    made.window = std::min(made.window, 60'000); // packet ids
    return made;
}

} // namespace

int main(int argc, char** argv) {
    const Options options = parse(argc, argv);
    std::signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1000);
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    const std::map<std::string_view, int (*)(const Options&)> modes{
        {"fanin", brim::bench::run_load},
        {"fanout", brim::bench::run_load},
        {"pairs", brim::bench::run_load},
        {"connect", brim::bench::run_connects},
        {"idle", brim::bench::run_idle},
        {"storm", brim::bench::run_storm},
        {"retain", brim::bench::run_retain},
        {"replay", brim::bench::run_replay},
        {"disk", brim::bench::run_disk},
        {"forward", brim::bench::run_forwarder},
        {"accept", brim::bench::run_acceptor},
    };
    const auto mode = modes.find(options.mode);
    if (mode == modes.end())
        usage();
    return mode->second(options);
}
