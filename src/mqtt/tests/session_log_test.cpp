// Sessions that outlive the process: each promise with the restart that tests it.

#include "mqtt/tests/session_log_rig.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

TEST_CASE("an acknowledgement waits for the disk where a kept session gets the message, else it does not") {
    KeptRig rig;
    rig.start();
    Peer kept(*rig.bench);
    join_kept(rig, kept, "kept");
    REQUIRE(subscribe_kept(rig, kept, "k/#", 1) == ReasonCode::granted_qos1);
    Peer fleeting(*rig.bench);
    fleeting.join("fleeting");
    REQUIRE(fleeting.subscribe("f/#", 1) == ReasonCode::granted_qos1);
    Peer publisher(*rig.bench);
    publisher.join("publisher");

    publisher.publish("f/1", "x", 1, 1);
    CHECK(publisher.acked(PacketType::puback).packet_id == 1);
    CHECK(fleeting.message().topic == "f/1");

    publisher.publish("k/1", "x", 1, 2);
    CHECK(publisher.is_quiet());
    CHECK(kept.is_quiet()); // nor is it sent: its packet identifier must be the same after a restart
    publisher.publish("f/2", "x", 1, 3);
    CHECK(publisher.is_quiet()); // acknowledgements leave in the order the messages came
    rig.run();
    CHECK(publisher.acked(PacketType::puback).packet_id == 2);
    CHECK(publisher.acked(PacketType::puback).packet_id == 3);
    CHECK(kept.message().topic == "k/1");
}

TEST_CASE("nothing is written for sessions that end with their connection") {
    KeptRig rig;
    rig.start();
    Peer one(*rig.bench);
    one.join("one");
    CHECK(one.subscribe("a/#", 2) == ReasonCode::granted_qos2);
    one.publish("a/1", "x", 2, 1);
    CHECK(one.message().qos == 2);
    CHECK(one.acked(PacketType::pubrec).packet_id == 1);
    rig.run();
    CHECK(rig.log->last() == 0);
    CHECK(rig.log->stats().tail_bytes == 0);
}

TEST_CASE("[B-18] [L1] sessions, subscriptions and queues are there after kill -9 and after a power cut") {
    for (const bool is_cut : {false, true}) {
        for (const ProtocolVersion version : {ProtocolVersion::v311, ProtocolVersion::v5}) {
            CAPTURE(is_cut);
            KeptRig rig;
            rig.start();
            {
                Peer kept(*rig.bench, version);
                CHECK_FALSE(join_kept(rig, kept, "kept").session_present);
                subscribe_kept(rig, kept, "a/+", 1);
                subscribe_kept(rig, kept, "b", 2);
                kept.disconnect();
                Peer publisher(*rig.bench);
                publisher.join("publisher");
                publisher.publish("a/1", "one", 1, 1).publish("b", "two", 2, 2);
                rig.run();
                publisher.acked(PacketType::puback);
                publisher.acked(PacketType::pubrec);
            }
            is_cut ? rig.power_cut(io::CutMode::lose_all) : rig.kill();
            rig.start();
            CHECK(rig.broker().stats().sessions == 1);
            CHECK(rig.broker().stats().subscriptions == 2);
            CHECK(rig.broker().stats().queued == 2);
            Peer kept(*rig.bench, version);
            CHECK(join_kept(rig, kept, "kept").session_present);
            const Publish one = kept.message();
            CHECK(one.payload == "one");
            CHECK_FALSE(one.dup); // it was never sent
            const Publish two = kept.message();
            CHECK(two.payload == "two");
            CHECK(two.qos == 2);
            // A message behind the restart finds the subscriptions.
            Peer publisher(*rig.bench);
            publisher.join("publisher");
            publisher.publish("a/2", "three", 1, 1);
            rig.run();
            CHECK(kept.message().payload == "three");
        }
    }
}

TEST_CASE("[MQTT-4.4.0-1] what was sent before the restart comes again under its packet identifier, marked") {
    KeptRig rig;
    rig.start();
    std::vector<std::uint16_t> ids;
    {
        Peer kept(*rig.bench);
        join_kept(rig, kept, "kept");
        subscribe_kept(rig, kept, "a", 1);
        Peer publisher(*rig.bench);
        publisher.join("publisher");
        for (std::uint16_t i = 1; i <= 4; ++i)
            publisher.publish("a", std::to_string(i), 1, i);
        rig.run();
        for (int i = 0; i < 4; ++i)
            ids.push_back(kept.message().packet_id);
        kept.ack(PacketType::puback, ids[1]); // out of order
        rig.run();
    }
    rig.restart();
    Peer kept(*rig.bench);
    CHECK(join_kept(rig, kept, "kept").session_present);
    for (const std::size_t i : {std::size_t{0}, std::size_t{2}, std::size_t{3}}) {
        const Publish again = kept.message();
        CHECK(again.packet_id == ids[i]);
        CHECK(again.payload == std::to_string(i + 1));
        CHECK(again.dup);
    }
    CHECK(kept.is_quiet());
}

namespace {

/// One QoS 2 message from a kept publisher to a kept subscriber (QoS 1), with a cut on the way.
class InboundCase {
public:
    InboundCase() {
        rig_.start();
        come_back(false);
        subscribe_kept(rig_, *subscriber_, "t", 1);
    }

    /// As far as `stop`: 1 PUBLISH, 2 PUBREC, 3 PUBREL, 4 PUBCOMP.
    void send(int stop) {
        if (stop >= 1)
            publisher_->publish("t", "once", 2, 7);
        if (stop >= 2) {
            rig_.run();
            publisher_->acked(PacketType::pubrec);
            has_pubrec_ = true;
            collect();
        }
        if (stop >= 3)
            publisher_->ack(PacketType::pubrel, 7);
        if (stop >= 4) {
            rig_.run();
            publisher_->acked(PacketType::pubcomp);
            has_pubcomp_ = true;
        }
    }

    void wait() {
        rig_.run();
        collect();
    }

    void cut(bool is_restart) {
        if (is_restart) {
            rig_.restart();
        } else {
            publisher_->cut();
            subscriber_->cut();
        }
        come_back(true);
    }

    void finish() {
        if (!has_pubcomp_ && !has_pubrec_) {
            Publish again;
            again.topic = "t";
            again.payload = "once";
            again.qos = 2;
            again.packet_id = 7;
            again.dup = true;
            publisher_->publish(again);
            rig_.run();
            CHECK(publisher_->acked(PacketType::pubrec).packet_id == 7);
        }
        if (!has_pubcomp_) {
            publisher_->ack(PacketType::pubrel, 7);
            rig_.run();
            CHECK(publisher_->acked(PacketType::pubcomp).packet_id == 7);
        }
        wait();
    }

    /// The identifier is free: another message under it is another message.
    void check_next() {
        const int before = count;
        publisher_->publish("t", "next", 2, 7);
        rig_.run();
        CHECK(publisher_->acked(PacketType::pubrec).packet_id == 7);
        collect();
        CHECK(count == before + 1);
    }

    int count = 0; ///< what the subscriber got, redeliveries left out

private:
    void come_back(bool is_known) {
        subscriber_ = std::make_unique<Peer>(*rig_.bench);
        CHECK(join_kept(rig_, *subscriber_, "subscriber").session_present == is_known);
        publisher_ = std::make_unique<Peer>(*rig_.bench);
        CHECK(join_kept(rig_, *publisher_, "publisher").session_present == is_known);
    }

    void collect() {
        for (Received received = subscriber_->next(); received.type != PacketType::reserved;
             received = subscriber_->next()) {
            if (received.type == PacketType::publish) {
                const auto packet = decode_publish(received.frame(), ProtocolVersion::v5, Sender::server, {});
                REQUIRE(packet.has_value());
                count += packet->dup ? 0 : 1;
                subscriber_->ack(PacketType::puback, packet->packet_id);
            }
            rig_.run();
        }
    }

    KeptRig rig_;
    std::unique_ptr<Peer> subscriber_;
    std::unique_ptr<Peer> publisher_;
    bool has_pubrec_ = false;
    bool has_pubcomp_ = false;
};

} // namespace

TEST_CASE("[B-16] [B-17] [B-18] [L2] an inbound QoS 2 message cut at any half-state arrives exactly once") {
    for (int stop = 0; stop <= 4; ++stop) {
        for (const bool is_restart : {false, true}) {
            for (const bool is_synced : {false, true}) {
                CAPTURE(stop);
                CAPTURE(is_restart);
                CAPTURE(is_synced);
                InboundCase one;
                one.send(stop);
                if (is_synced)
                    one.wait();
                one.cut(is_restart);
                one.finish();
                CHECK(one.count == 1);
                one.check_next();
            }
        }
    }
}

TEST_CASE("[B-16] [B-18] [L2] an outbound QoS 2 handshake goes on where it was, whichever packet was last") {
    for (int stop = 1; stop <= 4; ++stop) {
        for (const bool is_restart : {false, true}) {
            CAPTURE(stop);
            CAPTURE(is_restart);
            KeptRig rig;
            rig.start();
            std::optional<Peer> kept(std::in_place, *rig.bench);
            join_kept(rig, *kept, "kept");
            subscribe_kept(rig, *kept, "t", 2);
            Peer publisher(*rig.bench);
            publisher.join("publisher");
            publisher.publish("t", "once", 2, 1);
            rig.run();
            const std::uint16_t id = kept->message().packet_id;
            if (stop >= 2)
                kept->ack(PacketType::pubrec, id); // not on disk yet when the restart comes
            if (stop >= 3) {
                rig.run();
                CHECK(kept->acked(PacketType::pubrel).packet_id == id);
            }
            if (stop >= 4)
                kept->ack(PacketType::pubcomp, id);
            if (stop >= 4)
                rig.run();
            if (is_restart)
                rig.restart();
            else
                kept->cut();
            kept.emplace(*rig.bench);
            CHECK(join_kept(rig, *kept, "kept").session_present);
            Received next = kept->next();
            if (stop == 1 || (stop == 2 && is_restart)) {
                // The client knows it and does not take it for another one.
                REQUIRE(next.type == PacketType::publish);
                const auto packet = decode_publish(next.frame(), ProtocolVersion::v5, Sender::server, {});
                CHECK(packet->packet_id == id);
                CHECK(packet->dup);
                kept->ack(PacketType::pubrec, id);
                rig.run();
                next = kept->next();
            }
            if (stop <= 3) {
                REQUIRE(next.type == PacketType::pubrel);
                kept->ack(PacketType::pubcomp, id);
                rig.run();
                next = kept->next();
            }
            CHECK(next.type == PacketType::reserved);
            CHECK(rig.log->stats().messages == 0);
        }
    }
}

TEST_CASE("PUBREL and PUBCOMP wait for the record that makes them true") {
    KeptRig rig;
    rig.start();
    Peer kept(*rig.bench);
    join_kept(rig, kept, "kept");
    subscribe_kept(rig, kept, "t", 2);
    kept.publish("t", "x", 2, 9);
    rig.run();
    CHECK(kept.acked(PacketType::pubrec).packet_id == 9);
    const std::uint16_t id = kept.message().packet_id;
    kept.ack(PacketType::pubrec, id).ack(PacketType::pubrel, 9);
    CHECK(kept.is_quiet());
    rig.run();
    CHECK(kept.acked(PacketType::pubrel).packet_id == id);
    CHECK(kept.acked(PacketType::pubcomp).packet_id == 9);
}

TEST_CASE("retained messages come back; one that was taken away or expired meanwhile does not") {
    KeptRig rig;
    rig.start();
    {
        Peer publisher(*rig.bench);
        publisher.join("publisher");
        publisher.publish("r/1", "old", 1, 1, true).publish("r/1", "new", 1, 2, true);
        publisher.publish("r/2", "gone", 0, 0, true).publish("r/2", "", 0, 0, true);
        Publish brief;
        brief.topic = "r/3";
        brief.payload = "brief";
        brief.retain = true;
        brief.expiry_s = 30;
        publisher.publish(brief);
        brief.topic = "r/4";
        brief.expiry_s = 300;
        publisher.publish(brief);
        CHECK(publisher.is_quiet()); // a retained message is kept: acknowledged when it is safe
        rig.run();
        publisher.acked(PacketType::puback);
        publisher.acked(PacketType::puback);
    }
    rig.kill();
    rig.world.run_for(std::chrono::seconds{60});
    rig.start();
    Peer reader(*rig.bench);
    reader.join("reader");
    reader.subscribe("r/#", 1);
    const Publish first = reader.message();
    CHECK(first.payload == "new");
    const Publish second = reader.message();
    CHECK(second.topic == "r/4");
    CHECK(second.expiry_s <= 241);
    CHECK(second.expiry_s >= 239);
    CHECK(reader.is_quiet());
}

TEST_CASE("a will goes out after the restart: of a connection that was up at once, of a waiting one in time"
) {
    KeptRig rig;
    rig.start();
    {
        Peer watcher(*rig.bench);
        join_kept(rig, watcher, "watcher");
        subscribe_kept(rig, watcher, "will/#", 1);
        Connect packet;
        packet.client_id = "up";
        packet.clean_start = false;
        packet.session_expiry_s = 3'600;
        packet.will = message("will/up", "lost", 1);
        Peer up(*rig.bench);
        up.connect(packet);
        packet.client_id = "away";
        packet.will = message("will/away", "lost", 1);
        packet.will_delay_s = 60;
        Peer away(*rig.bench);
        away.connect(packet);
        rig.run();
        away.cut();
        rig.run();
    }
    rig.restart();
    Peer watcher(*rig.bench);
    join_kept(rig, watcher, "watcher");
    rig.run();
    CHECK(watcher.message().topic == "will/up");
    CHECK(watcher.is_quiet());
    rig.pass(std::chrono::seconds{30});
    CHECK(watcher.is_quiet());
    rig.pass(std::chrono::seconds{32});
    CHECK(watcher.message().topic == "will/away");
    // Once: another restart does not send them again.
    rig.restart();
    Peer again(*rig.bench);
    join_kept(rig, again, "watcher");
    rig.pass(std::chrono::seconds{100});
    CHECK(again.message().dup); // not acknowledged above
    CHECK(again.message().dup);
    CHECK(again.is_quiet());
}

TEST_CASE("[B-23] sessions expire by the time that passed while the broker was down") {
    KeptRig rig;
    rig.start();
    {
        Peer brief(*rig.bench);
        join_kept(rig, brief, "brief", false, 30);
        Peer lasting(*rig.bench);
        join_kept(rig, lasting, "lasting", false, 300);
        brief.cut();
        lasting.cut();
        rig.run();
    }
    rig.kill();
    rig.world.run_for(std::chrono::seconds{60});
    rig.start();
    rig.run();
    CHECK(rig.broker().stats().sessions == 1);
    Peer brief(*rig.bench);
    CHECK_FALSE(join_kept(rig, brief, "brief").session_present);
    Peer lasting(*rig.bench);
    CHECK(join_kept(rig, lasting, "lasting").session_present);
}

TEST_CASE("a clock that is set back at every start does not keep a session for ever") {
    KeptRig rig;
    rig.start();
    {
        Peer peer(*rig.bench);
        join_kept(rig, peer, "peer", false, 100);
        peer.cut();
        rig.run();
    }
    int starts = 0;
    for (; starts < 20; ++starts) {
        rig.kill();
        rig.machine().jump_wall(-std::chrono::hours{24 * 365});
        rig.start();
        rig.pass(std::chrono::seconds{20}); // something is written now and then
        Peer other(*rig.bench);
        join_kept(rig, other, "other");
        rig.run();
        if (rig.broker().stats().sessions == 1)
            break;
    }
    CHECK(starts >= 4);
    CHECK(starts <= 6);
}

TEST_CASE("[B-19] a queue that is full across a restart refuses with 0x97 and loses nothing acknowledged") {
    KeptRig rig;
    rig.limits.queue_count_max = 5;
    rig.start();
    {
        Peer kept(*rig.bench);
        join_kept(rig, kept, "kept");
        subscribe_kept(rig, kept, "q", 2);
        kept.disconnect();
        Peer publisher(*rig.bench);
        publisher.join("publisher");
        for (std::uint16_t i = 1; i <= 5; ++i)
            publisher.publish("q", std::to_string(i), 2, i);
        rig.run();
        for (std::uint16_t i = 1; i <= 5; ++i)
            CHECK(publisher.acked(PacketType::pubrec).reason == ReasonCode::success);
    }
    rig.restart();
    CHECK(rig.broker().stats().queued == 5);
    Peer publisher(*rig.bench);
    publisher.join("publisher");
    publisher.publish("q", "over", 1, 1).publish("q", "over", 2, 2);
    rig.run();
    CHECK(publisher.acked(PacketType::puback).reason == ReasonCode::quota_exceeded);
    CHECK(publisher.acked(PacketType::pubrec).reason == ReasonCode::quota_exceeded);
    Peer kept(*rig.bench);
    join_kept(rig, kept, "kept");
    for (int i = 1; i <= 5; ++i)
        CHECK(kept.message().payload == std::to_string(i));
    CHECK(kept.is_quiet());
}

TEST_CASE("[B-28] a packet identifier used again before its acknowledgement loses nothing") {
    KeptRig rig;
    rig.start();
    Peer kept(*rig.bench);
    join_kept(rig, kept, "kept");
    subscribe_kept(rig, kept, "t", 1);
    Peer publisher(*rig.bench);
    join_kept(rig, publisher, "publisher");
    publisher.publish("t", "one", 1, 5).publish("t", "two", 1, 5);
    rig.run();
    CHECK(kept.message().payload == "one");
    CHECK(kept.message().payload == "two");
    CHECK(publisher.acked(PacketType::puback).packet_id == 5);
    CHECK(publisher.acked(PacketType::puback).packet_id == 5);
}

TEST_CASE("a message that expired while the broker was down is not delivered; its place is not used again") {
    for (const std::uint8_t qos : {std::uint8_t{1}, std::uint8_t{2}}) {
        CAPTURE(qos);
        KeptRig rig;
        rig.start();
        std::uint16_t sent = 0;
        {
            Peer kept(*rig.bench);
            join_kept(rig, kept, "kept");
            subscribe_kept(rig, kept, "t", qos);
            Publish brief;
            brief.topic = "t";
            brief.payload = "brief";
            brief.qos = qos;
            brief.packet_id = 1;
            brief.expiry_s = 10;
            Peer publisher(*rig.bench);
            publisher.join("publisher");
            publisher.publish(brief);
            publisher.publish("t", "lasting", qos, 2);
            rig.run();
            sent = kept.message().packet_id;
        }
        rig.kill();
        rig.world.run_for(std::chrono::seconds{60});
        rig.start();
        Peer kept(*rig.bench);
        join_kept(rig, kept, "kept");
        CHECK(rig.host().dropped["expired"] == 1);
        if (qos == 2)
            CHECK(kept.acked(PacketType::pubrel).packet_id == sent); // the client may hold it: it lets go
        const Publish lasting = kept.message();
        CHECK(lasting.payload == "lasting");
        CHECK(lasting.packet_id == sent + 1);
        CHECK(kept.is_quiet());
    }
}

TEST_CASE(
    "[MQTT-4.4.0-1] a queued message that expires uses up its identifier, so those behind it keep theirs"
) {
    KeptRig rig;
    rig.start();
    std::uint16_t sent = 0;
    {
        Peer kept(*rig.bench);
        join_kept(rig, kept, "kept");
        subscribe_kept(rig, kept, "t", 1);
        kept.disconnect();
        Peer publisher(*rig.bench);
        publisher.join("publisher");
        Publish brief;
        brief.topic = "t";
        brief.payload = "brief";
        brief.qos = 1;
        brief.packet_id = 1;
        brief.expiry_s = 10;
        publisher.publish(brief).publish("t", "one", 1, 2).publish("t", "two", 1, 3);
        rig.pass(std::chrono::seconds{30});
        Peer back(*rig.bench);
        join_kept(rig, back, "kept");
        const Publish one = back.message();
        CHECK(one.payload == "one");
        sent = one.packet_id;
        CHECK(back.message().packet_id == sent + 1);
        rig.run();
    }
    rig.restart();
    CHECK(rig.log->stats().lost_references == 0);
    Peer kept(*rig.bench);
    join_kept(rig, kept, "kept");
    const Publish one = kept.message();
    CHECK(one.payload == "one");
    CHECK(one.packet_id == sent);
    CHECK(kept.message().packet_id == sent + 1);
    CHECK(kept.is_quiet());
}

TEST_CASE("clean start and unsubscribe hold across a restart once they were answered") {
    KeptRig rig;
    rig.start();
    {
        Peer one(*rig.bench);
        join_kept(rig, one, "one");
        subscribe_kept(rig, one, "a", 1);
        one.disconnect();
        Peer two(*rig.bench);
        join_kept(rig, two, "two");
        subscribe_kept(rig, two, "a", 1);
        two.unsubscribe("a");
        CHECK(two.is_quiet());
        rig.run();
        two.take(PacketType::unsuback);
        Peer again(*rig.bench);
        CHECK_FALSE(join_kept(rig, again, "one", true, 0).session_present);
    }
    rig.restart();
    CHECK(rig.broker().stats().sessions == 1);
    CHECK(rig.broker().stats().subscriptions == 0);
    Peer one(*rig.bench);
    CHECK_FALSE(join_kept(rig, one, "one").session_present);
}

namespace {

std::vector<std::uint32_t> ids_of(const Publish& packet) {
    std::vector<std::uint32_t> ids = packet.subscription_ids;
    std::ranges::sort(ids);
    return ids;
}

} // namespace

TEST_CASE("shared subscriptions, identifiers and options are what they were") {
    KeptRig rig;
    rig.start();
    {
        Peer kept(*rig.bench);
        join_kept(rig, kept, "kept");
        subscribe_kept(rig, kept, "$share/g/s", 1, 5);
        subscribe_kept(rig, kept, "i/+", 1, 6);
        subscribe_kept(rig, kept, "i/#", 1, 7);
        kept.disconnect();
        Peer publisher(*rig.bench);
        publisher.join("publisher");
        publisher.publish("i/1", "queued", 1, 1);
        rig.run();
    }
    rig.restart();
    Peer kept(*rig.bench);
    join_kept(rig, kept, "kept");
    CHECK(ids_of(kept.message()) == std::vector<std::uint32_t>{6, 7});
    Peer publisher(*rig.bench);
    publisher.join("publisher");
    publisher.publish("s", "shared", 1, 1).publish("i/2", "live", 1, 2);
    rig.run();
    CHECK(ids_of(kept.message()) == std::vector<std::uint32_t>{5});
    CHECK(ids_of(kept.message()) == std::vector<std::uint32_t>{6, 7});
}
