#pragma once
// fanin, fanout and pairs: publishers and subscribers, open or closed loop. Each payload carries its intended
// time (8 bytes), publisher (4) and sequence (4); each subscriber checks that the sequence of each publisher
// has no gap and ascends.

#include "mqtt/client.h"
#include "mqtt/meters.h"
#include "mqtt/order.h"

#include <memory>
#include <string>
#include <vector>

namespace brim::bench {

class Load final : public ClientEvents {
public:
    explicit Load(const Options& options);
    int run();

    void on_up(Conn& conn) override;
    void on_delivery(Conn& conn, const Delivery& delivery) override;
    void on_acknowledged(Conn& conn, bool good) override;

private:
    struct Counts {
        std::uint64_t sent = 0;
        std::uint64_t delivered = 0;
        std::uint64_t acknowledged = 0;
    };

    /// What the broker and the generator used, and when.
    struct Reading {
        explicit Reading(int broker);

        std::uint64_t broker_ns;
        std::uint64_t own_ns;
        std::uint64_t at;
    };

    void prepare(Conn& publisher) const;
    void subscribe_to_nothing(Conn& holder);
    void fill_stalled();
    void emit(Conn& publisher, std::uint64_t intended);
    bool may_send(const Conn& publisher) const;
    void may_continue(Conn& publisher);
    bool connect_all();
    int open_loop(std::uint64_t now);
    void closed_loop(std::uint64_t now);
    void run_until(std::uint64_t end);
    void drain();
    void report(const Reading& begin, const Reading& end, long rss_before_kb, long rss_after_kb);

    const Options& options_;
    Clients clients_;
    std::vector<std::unique_ptr<Conn>> publishers_;
    std::vector<std::unique_ptr<Conn>> subscribers_;
    std::vector<std::unique_ptr<Conn>> holders_; ///< of subscriptions that match nothing
    std::uint64_t fan_ = 1;                      ///< deliveries for each message
    std::string filler_;
    bool measuring_ = false;
    Counts measured_;
    Counts total_;
    Histogram latency_;
    Order order_;
    std::vector<std::vector<bool>> seen_; ///< shared: [publisher][sequence]
    std::uint64_t shared_duplicates_ = 0;
    std::uint64_t foreign_ = 0;
    std::uint64_t bad_acks_ = 0;
    std::uint64_t stalls_ = 0;
    std::uint64_t lag_ns_max_ = 0;
    std::uint64_t began_ = 0;
    std::uint64_t next_message_ = 0;
    std::uint64_t progress_at_ = 0;
    std::uint64_t progress_count_ = 0;
    std::vector<Conn*> ready_;
};

} // namespace brim::bench
