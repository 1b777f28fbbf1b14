/* Settings: keys and values as requests carry them, into those of a namespace or of a topic. */
#include "core/check.h"
#include "core/namespace.h"

static int setting_apply(struct engine_settings *settings, bool topic,
                         const struct engine_setting *change, struct error *err)
{
    CHECK(settings != NULL);
    CHECK(change != NULL);
    switch (change->key) {
    case ENGINE_SETTING_RETENTION:
        if (change->value > ENGINE_RETAIN_SIZE &&
            !(topic && change->value == ENGINE_RETAIN_INHERIT)) {
            return error_set(err, TUSK_EINVALID,
                             "retention is 0 (all), 1 (consumed), 2 (age) or 3 (size), not %llu",
                             (unsigned long long)change->value);
        }
        settings->retention.kind = change->value;
        return 0;
    case ENGINE_SETTING_RETENTION_AGE_MS:
        settings->retention.age_ms = change->value;
        return 0;
    case ENGINE_SETTING_RETENTION_BYTES:
        settings->retention.bytes = change->value;
        return 0;
    default:
        break;
    }
    if (topic) {
        return error_set(err, TUSK_EINVALID, "setting %u is not one of a topic", change->key);
    }
    switch (change->key) {
    case ENGINE_SETTING_FSYNC:
        if (change->value > 3600000u && change->value != ENGINE_FSYNC_NONE) {
            return error_set(err, TUSK_EINVALID,
                             "fsync is each (0), 1 to 3600000 milliseconds, or none");
        }
        settings->fsync_ms = change->value;
        return 0;
    case ENGINE_SETTING_CONSISTENCY:
        settings->consistency = change->value;
        return 0;
    case ENGINE_SETTING_QUOTA_BYTES:
        settings->quota_bytes = change->value;
        return 0;
    case ENGINE_SETTING_QUOTA_TOPICS:
        settings->quota_topics = change->value;
        return 0;
    case ENGINE_SETTING_QUOTA_CURSORS:
        settings->quota_cursors = change->value;
        return 0;
    case ENGINE_SETTING_QUOTA_POLICY:
        if (change->value > ENGINE_QUOTA_WAIT) {
            return error_set(
                err, TUSK_EINVALID,
                "a quota's policy is 0 (reject), 1 (drop-oldest) or 2 (wait), not %llu",
                (unsigned long long)change->value);
        }
        settings->quota_policy = change->value;
        return 0;
    default:
        return error_set(err, TUSK_EINVALID, "no setting has the number %u", change->key);
    }
}

int settings_apply(struct engine_settings *settings, bool topic,
                   const struct engine_setting *changes, uint32_t count, struct error *err)
{
    uint32_t i;

    CHECK(changes != NULL || count == 0);
    CHECK(settings != NULL);
    for (i = 0; i < count; i++) {
        const int rc = setting_apply(settings, topic, &changes[i], err);

        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}
