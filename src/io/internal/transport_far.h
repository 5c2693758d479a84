#pragma once
// The far side of a TransportLoop: a thread with a loop, and sockets that do what the mail says. Private to
// io.

#include "io/internal/transport_mail.h"
#include "io/socket_network.h"

#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace brim::io {

class TransportFar {
public:
    using Outbox = std::function<void(std::unique_ptr<TransportMail>)>;

    /// `outbox` is called on the far thread, which starts now.
    TransportFar(Log& log, unsigned number, Outbox outbox);
    /// After all that was posted.
    ~TransportFar();
    TransportFar(const TransportFar&) = delete;
    TransportFar& operator=(const TransportFar&) = delete;

    /// Any thread.
    void post(std::unique_ptr<TransportMail> mail);
    /// Any thread.
    void release_buffers();

private:
    using Kind = TransportMail::Kind;
    struct Carried;

    void handle(std::unique_ptr<TransportMail> mail);

    Carried& at(std::uint32_t slot) { return *carried_[slot]; }

    void open(std::uint32_t slot, std::uint32_t generation, LooseSocket socket);
    void credit(std::size_t length);
    /// Has end_turn() run at the end of this turn.
    void turn_has_news();
    void end_turn();
    void look_again();
    void tell();
    /// Notes what of a stream's bytes is with the kernel by now, and whether some are not.
    void look(Carried& stream);

    EpollLoop loop_;
    SocketNetwork net_;
    const Outbox outbox_;
    std::vector<std::unique_ptr<Carried>> carried_; ///< by slot
    std::vector<std::uint32_t> touched_;            ///< slots that were written to in this turn
    std::vector<std::uint32_t> blocked_;   ///< slots that are looked at again: the kernel has not taken all
    std::vector<std::uint32_t> held_back_; ///< slots that are not read because too much is arriving
    std::unique_ptr<TransportMail> out_;
    std::unique_ptr<TransportMail> spare_;
    std::size_t arriving_ = 0; ///< bytes of data without their credit
    std::size_t untold_ = 0;   ///< bytes of `gone` in out_
    bool is_urgent_ = false;   ///< out_ does not wait
    bool ends_turn_ = false;
    Timer later_;
    std::thread thread_;
};

} // namespace brim::io
