#include "edge/startup.h"

#include "edge/time_floor.h"

#include <algorithm>
#include <utility>

namespace brim::edge {

namespace {

std::unexpected<Error> unusable(const Error& files, const std::string& folder, std::string_view applied) {
    std::string cause = files.object == "configuration" ? files.cause : files.object + ": " + files.cause;
    if (!files.fix.empty())
        cause += "; " + files.fix;
    return fail(
        Errc::invalid,
        "configuration",
        cause + "\nand in " + folder + " " + std::string(applied),
        "correct the files; with another data folder, name it by --set edge.data_dir=... or "
        "BRIM_EDGE__DATA_DIR, which are known without them"
    );
}

std::string_view without_slash(std::string_view folder) {
    while (folder.size() > 1 && folder.ends_with('/'))
        folder.remove_suffix(1);
    return folder;
}

/// Runs on what was applied.
Result<void> fall_back(Startup& out, Applied applied, const std::string& folder) {
    auto checked = check_configuration(std::move(applied.texts));
    if (!checked)
        return fail(checked.error());
    const std::string& meant = checked->settings.data_dir;
    if (without_slash(meant) != without_slash(folder))
        return fail(Errc::conflict, "edge.data_dir", "it was applied for " + meant, "use that data folder");
    out.configuration = std::move(*checked);
    out.state.revision = applied.revision;
    out.state.applied_at = applied.at;
    out.state.from_files = false;
    return {};
}

/// Runs on what the files say, kept first.
void take_files(
    Startup& out, Configuration fresh, AppliedFile& file, std::optional<Applied> stored, WallTime now
) {
    out.state.revision = fresh.revision;
    out.state.applied_at = stored ? stored->at : now;
    if (stored && stored->revision == fresh.revision) {
        out.configuration = std::move(fresh);
        return;
    }
    out.state.applied_at = now;
    const auto saved = file.save(fresh.texts, now);
    if (!saved) {
        out.state.error = saved.error();
        if (stored && fall_back(out, std::move(*stored), fresh.settings.data_dir))
            return;
        out.state.kept = false; // there is nothing older to run on: better unkept than not running
    }
    out.configuration = std::move(fresh);
}

} // namespace

Result<Startup>
prepare_start(io::Disk& disk, const ConfigSource& source, WallTime clock, const ReadLimits& limits) {
    auto read = read_configuration(disk, source, limits);
    const std::string folder = read ? read->settings.data_dir : find_data_dir(disk, source);
    AppliedFile file(disk, folder);
    if (!read && !file.exists())
        return unusable(read.error(), folder, "nothing was applied before");
    Startup out;
    BRIM_TRY(disk.make_dir(folder));
    auto lock = disk.lock(folder + "/lock");
    if (!lock)
        return fail(lock.error());
    out.lock = std::move(*lock);
    auto stored = file.load();
    if (!stored && stored.error().code == Errc::unsupported)
        return fail(stored.error());
    if (!stored)
        out.notes.push_back(stored.error());
    std::optional<Applied> applied = stored ? std::move(*stored) : std::nullopt;
    if (read) {
        const WallTime now = std::max(clock, TimeFloor::stored(disk, folder + "/time-floor"));
        take_files(out, std::move(*read), file, std::move(applied), now);
        return out;
    }
    if (!applied)
        return unusable(read.error(), folder, "what was applied before is damaged");
    if (const auto fallen = fall_back(out, std::move(*applied), folder); !fallen)
        return unusable(read.error(), folder, "what was applied before is no use: " + fallen.error().text());
    out.state.error = read.error();
    return out;
}

} // namespace brim::edge
