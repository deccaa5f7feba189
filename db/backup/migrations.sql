-- What the schema is made of.
SELECT number, name, up_sha256 FROM tallyd.schema_migration ORDER BY number;
