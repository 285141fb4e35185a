-- `createdAt` of the youngest job ever retired: a fact of a younger one is of a new job. The column
-- of jobs is the nearest to it that earlier versions kept.
ALTER TABLE frontier ADD COLUMN youngest_retired INTEGER;
UPDATE frontier SET youngest_retired =
    (SELECT max(created_at) FROM jobs WHERE retired_at IS NOT NULL);
