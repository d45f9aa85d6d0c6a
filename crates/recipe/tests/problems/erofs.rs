//! What EROFS cannot be told.

use crate::check;

#[test]
fn what_erofs_cannot_be_told() {
    check(
        r#"[stack]
name = "demo"

[target.disk]
kind   = "filesystem"
rootfs = "rootfs"
erofs  = { compression = "lz4" }

[target.large]
kind   = "filesystem"
rootfs = "rootfs"
type   = "erofs"
size   = "16M"
label  = "a label of sixteen"
erofs  = { compression = "zstd", level = 23, cluster-size = "3K" }

[target.plain]
kind   = "filesystem"
rootfs = "rootfs"
type   = "erofs"
erofs  = { compression = "none", level = 1, cluster-size = "4K" }

[target.other]
kind   = "filesystem"
rootfs = "rootfs"
type   = "erofs"
erofs  = { compression = "lz4h" }

[target.rootfs]
kind = "rootfs"
"#,
        r#"
error: `erofs` is for file systems of that type
 --> bootwright.toml:7:10
  |
7 | erofs  = { compression = "lz4" }
  |          ^^^^^^^^^^^^^^^^^^^^^^^

error: `size` is not for erofs
  --> bootwright.toml:13:10
   |
13 | size   = "16M"
   |          ^^^^^
   |
   = help: erofs is as large as what is in it

error: label of 18 bytes
  --> bootwright.toml:14:10
   |
14 | label  = "a label of sixteen"
   |          ^^^^^^^^^^^^^^^^^^^^
   |
   = help: a label of erofs has at most 15

error: zstd has no level 23
  --> bootwright.toml:15:42
   |
15 | erofs  = { compression = "zstd", level = 23, cluster-size = "3K" }
   |                                          ^^
   |
   = help: it has 1 to 22

error: a cluster of erofs cannot have 3072 bytes
  --> bootwright.toml:15:61
   |
15 | erofs  = { compression = "zstd", level = 23, cluster-size = "3K" }
   |                                                             ^^^^
   |
   = help: write `4K`, `8K` and so on to `1M`, each twice the one before; the usual is `64K`

error: `level` is not for none
  --> bootwright.toml:21:42
   |
21 | erofs  = { compression = "none", level = 1, cluster-size = "4K" }
   |                                          ^
   |
   = help: only `lz4hc` and `zstd` have levels

error: `cluster-size` is not for none
  --> bootwright.toml:21:60
   |
21 | erofs  = { compression = "none", level = 1, cluster-size = "4K" }
   |                                                            ^^^^
   |
   = help: clusters are what is compressed together

error: unknown compression `lz4h`
  --> bootwright.toml:27:26
   |
27 | erofs  = { compression = "lz4h" }
   |                          ^^^^^^
   |
   = help: did you mean `lz4`?
"#,
    );
}
