#include "store/internal/segment_writer.h"

#include "base/assert.h"

namespace brim::store {

void SegmentWriter::adopt(std::unique_ptr<io::File> file, std::uint32_t seed) {
    active_ = std::move(file);
    seed_ = seed;
}

GroupOutcome SegmentWriter::write(Group& group) {
    GroupOutcome outcome;
    outcome.result = write_parts(group, outcome);
    if (outcome.result) {
        tidy(group, outcome);
        return outcome;
    }
    // Nothing may be assumed about a file whose write or sync failed [B-88]: it is never written again. Only
    // when the next segment could not be made for lack of space is the active one as good as before.
    if (!outcome.no_room_for_segment)
        active_.reset();
    return outcome;
}

Result<void> SegmentWriter::sync_active(GroupOutcome& outcome) {
    ++outcome.syncs;
    auto synced = active_->sync();
    outcome.sync_failed = !synced;
    return synced;
}

Result<void> SegmentWriter::write_parts(Group& group, GroupOutcome& outcome) {
    const std::size_t before = group.has_split() ? group.split : group.bytes.size();
    if (before > 0) {
        if (!active_)
            return fail(Errc::io, "log in \"" + folder_ + "\"", "no segment is open for writing");
        seal_records(group.bytes.data(), before, seed_);
        BRIM_TRY(active_->write_at(group.offset, ByteView(group.bytes.data(), before)));
        BRIM_TRY(sync_active(outcome));
    }
    if (group.has_split())
        return open_next(group, outcome);
    return {};
}

Result<void> SegmentWriter::open_next(Group& group, GroupOutcome& outcome) {
    const std::string path = folder_ + "/" + segment_file_name(group.next.number);
    if (!group.reuse.empty())
        BRIM_TRY(disk_.rename(folder_ + "/" + group.reuse, path));
    // `create`, not `create_new`: a failed attempt may have left the file behind.
    auto file = disk_.open(path, io::OpenMode::create);
    if (!file) {
        outcome.no_room_for_segment = file.error().code == Errc::full;
        return fail(std::move(file).error());
    }
    if (auto allocated = (*file)->allocate(group.next.segment_bytes); !allocated) {
        outcome.no_room_for_segment = allocated.error().code == Errc::full;
        file->reset();
        // Half a preallocated file would keep the space it got from being used by anybody. Failing to remove
        // it is no harm: the next attempt uses it.
        static_cast<void>(disk_.remove(path));
        return allocated;
    }
    const std::uint32_t seed = group.next.seed();
    char* const start = group.bytes.data() + group.split;
    const std::size_t count = group.bytes.size() - group.split;
    encode_header(group.next, start);
    seal_records(start + header_bytes, count - header_bytes, seed);
    BRIM_TRY((*file)->write_at(0, ByteView(start, count)));
    active_ = std::move(*file);
    seed_ = seed;
    BRIM_TRY(sync_active(outcome));
    // Without this the name, and with it every record, could vanish in a power cut [B-88].
    return disk_.sync_dir(folder_);
}

void SegmentWriter::tidy(const Group& group, GroupOutcome& outcome) {
    for (const auto& name : group.unwanted)
        if (auto removed = disk_.remove(folder_ + "/" + name);
            !removed && removed.error().code != Errc::not_found)
            outcome.leftover.push_back(name);
    for (const auto& name : group.quarantine)
        if (auto renamed = disk_.rename(folder_ + "/" + name, folder_ + "/" + name + ".quarantine"); !renamed)
            outcome.leftover.push_back(name);
}

} // namespace brim::store
