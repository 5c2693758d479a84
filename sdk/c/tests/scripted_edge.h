#pragma once
// A stand-in for brim-edge's bus that follows a script: a process of its own that journals each report before
// it acknowledges it, and that a test may kill at any time. Raw bytes on a unix socket; no broker in between.

#include "brim/driver.h"
extern "C" {
#include "packet.h"
}

#include <doctest/doctest.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace edge_script {

struct Script {
    std::string config = R"({"config":{},"deviceList":[]})";
    int connack_reason = 0;
    unsigned receive_max = 64;
    int device_code = 0;   ///< the answer to an online message
    int puback_reason = 0; ///< for reports
    long reports_until_drop =
        -1; ///< closes the connection unacknowledged at this report, once per connection
    bool answer_devices = true;
    std::vector<std::pair<std::string, std::string>> requests = {
    }; ///< topic, payload: sent when a device came online
};

inline std::string scratch_dir() {
    char name[] = "/tmp/brim-sdk-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    return name;
}

/// One line per journaled message: topic, a blank, payload.
inline std::vector<std::string> lines_of(const std::string& path) {
    std::vector<std::string> lines;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);)
        lines.push_back(line);
    return lines;
}

inline int bound_socket(const std::string& path) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    unlink(path.c_str());
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(fd, 8) != 0)
        _exit(3);
    return fd;
}

/// Serves one connection inside of the child process.
class Connection {
public:
    Connection(int fd, const Script& script, int journal) : fd_(fd), script_(script), journal_(journal) {}

    void serve() {
        std::string in;
        char chunk[65536];
        for (;;) {
            const ssize_t size = read(fd_, chunk, sizeof chunk);
            if (size <= 0)
                return;
            in.append(chunk, static_cast<std::size_t>(size));
            while (!in.empty()) {
                const std::size_t used = one(in);
                if (used == std::string::npos)
                    return;
                if (used == 0)
                    break;
                in.erase(0, used);
            }
            if (!flush())
                return;
        }
    }

private:
    /// Bytes used, 0 = more needed, npos = drop the connection.
    std::size_t one(const std::string& in) {
        std::size_t length = 0;
        std::size_t head = 1;
        for (unsigned shift = 0;; shift += 7) {
            if (head >= in.size())
                return 0;
            const auto digit = static_cast<unsigned char>(in[head++]);
            length |= std::size_t{digit & 0x7fU} << shift;
            if ((digit & 0x80) == 0)
                break;
        }
        if (in.size() < head + length)
            return 0;
        const auto type = static_cast<unsigned char>(in[0]) >> 4;
        if (type == PACKET_CONNECT) {
            const unsigned char reply[] = {
                0x20,
                6,
                0,
                static_cast<unsigned char>(script_.connack_reason),
                3,
                0x21,
                static_cast<unsigned char>(script_.receive_max >> 8),
                static_cast<unsigned char>(script_.receive_max & 0xff)
            };
            brim_bytes_put(&out_, reply, sizeof reply);
            note("CONNECT", "");
        } else if (type == PACKET_SUBSCRIBE) {
            const unsigned char reply[] = {
                0x90,
                6,
                static_cast<unsigned char>(in[head]),
                static_cast<unsigned char>(in[head + 1]),
                0,
                1,
                1,
                1
            };
            brim_bytes_put(&out_, reply, sizeof reply);
            const std::string topic = "bus/driver/test/config";
            packet_publish(&out_, 1, topic.c_str(), script_.config.data(), script_.config.size());
        } else if (type == PACKET_PINGREQ) {
            brim_bytes_put(&out_, "\xd0\x00", 2);
        } else if (type == PACKET_PUBLISH) {
            packet message;
            if (packet_read(reinterpret_cast<const std::uint8_t*>(in.data()), in.size(), 1 << 24, &message) <
                0)
                return std::string::npos;
            if (!published(message))
                return std::string::npos;
        } else if (type == PACKET_DISCONNECT) {
            note("DISCONNECT", "");
            return std::string::npos;
        }
        return head + length;
    }

    bool published(const packet& message) {
        const std::string topic(message.topic.text, message.topic.size);
        const std::string payload(message.payload.text, message.payload.size);
        const bool report = topic.find("/thing/event/") != std::string::npos;
        if (report && script_.reports_until_drop >= 0 && reports_++ == script_.reports_until_drop)
            return false;
        // Like the edge: nothing is taken for a device that is not online on this connection.
        const int reason = report && !online_.contains(topic.substr(0, topic.find("/thing/")))
                               ? 0x87
                               : script_.puback_reason;
        const bool refuse = report && reason != 0;
        if (!refuse)
            note(topic, payload);
        if (message.packet_id != 0) {
            const unsigned char reply[] = {
                0x40,
                3,
                static_cast<unsigned char>(message.packet_id >> 8),
                static_cast<unsigned char>(message.packet_id & 0xff),
                static_cast<unsigned char>(refuse ? reason : 0)
            };
            brim_bytes_put(&out_, reply, sizeof reply);
        }
        if (topic == "bus/driver/test/device" && script_.answer_devices)
            answer_device(payload);
        return true;
    }

    void answer_device(const std::string& payload) {
        const std::size_t id = payload.find(':') + 1;
        const std::string reply = "{\"id\":" + payload.substr(id, payload.find(',') - id) +
                                  ",\"code\":" + std::to_string(script_.device_code) + "}";
        packet_publish(&out_, 0, "bus/driver/test/device_reply", reply.data(), reply.size());
        const std::string device =
            "/sys/" + member(payload, "productKey") + "/" + member(payload, "deviceName");
        if (payload.find("\"online\"") == std::string::npos || script_.device_code != 0) {
            online_.erase(device);
            return;
        }
        online_.insert(device);
        for (const auto& [topic, body] : script_.requests)
            packet_publish(&out_, 7, topic.c_str(), body.data(), body.size());
    }

    static std::string member(const std::string& json, const std::string& name) {
        const std::string head = "\"" + name + "\":\"";
        const std::size_t begin = json.find(head) + head.size();
        return json.substr(begin, json.find('"', begin) - begin);
    }

    void note(const std::string& topic, const std::string& payload) {
        const std::string line = topic + " " + payload + "\n";
        if (write(journal_, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
            _exit(4);
    }

    bool flush() {
        std::size_t sent = 0;
        while (sent < out_.size) {
            const ssize_t size = send(fd_, out_.data + sent, out_.size - sent, MSG_NOSIGNAL);
            if (size <= 0)
                return false;
            sent += static_cast<std::size_t>(size);
        }
        out_.size = 0;
        return true;
    }

    int fd_;
    const Script& script_;
    int journal_;
    brim_bytes out_{};
    long reports_ = 0;
    std::set<std::string> online_;
};

/// The process. Started in the constructor; kill() is SIGKILL, and start() brings it back with the same
/// journal.
class Edge {
public:
    explicit Edge(std::string dir)
        : socket(dir + "/bus.sock"), journal(dir + "/journal"), dir_(std::move(dir)) {}

    ~Edge() {
        kill();
        unlink(socket.c_str());
        unlink(journal.c_str());
        rmdir(dir_.c_str());
    }

    Edge(const Edge&) = delete;
    Edge& operator=(const Edge&) = delete;

    void start(const Script& script = {}) {
        int ready[2];
        REQUIRE(pipe(ready) == 0);
        pid_ = fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            signal(SIGPIPE, SIG_IGN);
            const int listener = bound_socket(socket);
            const int log = open(journal.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
            if (write(ready[1], "r", 1) != 1)
                _exit(5);
            for (;;) {
                const int fd = accept(listener, nullptr, nullptr);
                if (fd < 0)
                    _exit(6);
                Connection(fd, script, log).serve();
                close(fd);
            }
        }
        char byte = 0;
        REQUIRE(read(ready[0], &byte, 1) == 1);
        close(ready[0]);
        close(ready[1]);
    }

    void kill() {
        if (pid_ <= 0)
            return;
        ::kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }

    /// Reports in the journal that hold `text`.
    std::size_t journaled(std::string_view text) const {
        std::size_t count = 0;
        for (const std::string& line : lines_of(journal))
            count += line.find(text) != std::string::npos ? 1 : 0;
        return count;
    }

    const std::string socket, journal;

private:
    std::string dir_;
    pid_t pid_ = -1;
};

} // namespace edge_script
