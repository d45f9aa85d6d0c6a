//! What targets start from that read text.

pub(crate) const CONTROL: &str = "Package: demo\nVersion: 1.0\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\n\
                       Multi-Arch: same\nDescription: test\n";

pub(crate) const PACKAGES: &str = "Package: demo\nVersion: 1:1.0-1\nArchitecture: amd64\nEssential: yes\nPriority: required\n\
    Pre-Depends: base (>= 2.0~rc1) | other\nDepends: a:any (<< 3) [amd64 !i386], b <!nocheck>, c\nProvides: d (= 1)\n\
    Conflicts: e\nMulti-Arch: same\nInstalled-Size: 12\nSize: 345\nFilename: pool/main/d/demo/demo_1.0-1_amd64.deb\n\
    SHA256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\
    Description: one\n two\n .\n three\n\n";

pub(crate) const SOURCES: &str = "Package: demo\nBinary: demo, demo-dev,\n demo-doc\nVersion: 1:1.0-1\nFormat: 3.0 (quilt)\n\
    Directory: pool/main/d/demo\nChecksums-Sha256:\n \
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef 12 demo_1.0-1.dsc\n\n";

pub(crate) const DSC: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nFormat: 3.0 (quilt)\nSource: demo\n\
    Version: 1:1.0-1\nChecksums-Sha256:\n \
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef 12 demo_1.0.orig.tar.xz\nFiles:\n \
    0123456789abcdef0123456789abcdef 12 demo_1.0.orig.tar.xz\n\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n";

/// For the files that the target `patch` makes.
pub(crate) const PATCHES: [(&str, &str); 4] = [
    ("change", "--- a/f\n+++ b/f\n@@ -1,5 +1,5 @@\n 1\n 2\n-3\n+x\n 4\n 5\n"),
    (
        "new",
        "--- /dev/null\n+++ b/d/new\t1970-01-01 00:00:00\n@@ -0,0 +1 @@\n+1\n\\ No newline at end of file\n",
    ),
    (
        "git",
        "diff --git a/f b/g\nsimilarity index 90%\nrename from f\nrename to g\nindex 0123..4567 100644\n--- a/f\n+++ \
         b/g\n@@ -5 +5,2 @@\n 5\n+6\n",
    ),
    (
        "link",
        "diff --git a/m b/m\nnew file mode 120000\nindex 0000000..1234567\n--- /dev/null\n+++ b/m\n@@ -0,0 +1 @@\n+d\n",
    ),
];

/// A `.config` and the files that the target `kconfig` makes.
pub(crate) const KCONFIG: [(&str, &str); 2] = [
    (
        "menu",
        "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"x\"\nCONFIG_N=0x10\n\0mainmenu \"M\"\nconfig A\n\tbool \"a\" if B\n\t\
         default y if N > 3 && !B || S = \"x\"\n\tselect B if S != \"\"\n\thelp\n\t  text\n\nsource \"sub\"\nchoice\n\tprompt \
         \"c\"\n\tdefault D\nconfig D\n\tbool \"d\"\nconfig E\n\tbool \"e\"\nendchoice\n\0if A\nmenuconfig B\n\ttristate \
         \"b\"\n\tdepends on (A || D) && m\n\timply E\nendif\nmenu \"m\"\n\tvisible if B\nconfig N\n\thex \"n\"\n\trange 0 \
         0xff if A\nconfig S\n\tstring \"s\"\n\tdef_string \"$(ARCH)\"\nendmenu\n",
    ),
    (
        "macros",
        "\0a := $(ARCH)64\nf = $(a)-$(1)$(2)\n$(f,x,$(a)):=y\nb += $(if-success,true,y,n)\n$(warning-if,y,x)\nconfig \
         $(a)\n\tdef_bool $(success,test -f x)\n\tdefault $(shell,echo y)\n\tdepends on $(cc-option,-x)\nosource \
         \"$(a)/*\"\nrsource \"sub\"\ncomment \"c\"\n\tdepends on y\n",
    ),
];

pub(crate) const RELEASE: &str = "Origin: Demo\nLabel: Demo\nSuite: stable\nCodename: demo\nVersion: 1.0\n\
    Date: Sat, 11 Jul 2026 10:16:37 UTC\nValid-Until: Sat, 18 Jul 2026 10:16:37 UTC\nAcquire-By-Hash: yes\n\
    Architectures: all amd64 arm64\nComponents: main contrib\nSHA256:\n \
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef     1234 main/binary-amd64/Packages.xz\n";

pub(crate) const SHA256: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Specifications of what `mkimg` is to make.
pub(crate) const SPECS: [(&str, &str); 10] = [
    (
        "layer",
        r#"{"kind":"layer","output":"out/l.tar","epoch":1,"layers":["in/a"],"entries":[{"path":"etc/x","type":"file","text":"y"},{"path":"dev/null","type":"char-device","major":1,"minor":3,"mode":438},{"path":"l","type":"symlink","target":"x"}]}"#,
    ),
    ("tree", r#"{"kind":"tree","layer":"in/layer.tar","output":"out"}"#),
    (
        "initramfs",
        r#"{"kind":"initramfs","output":"out/i","epoch":1,"layers":["in/a"],"compression":"zstd"}"#,
    ),
    (
        "ext4",
        r#"{"kind":"ext4","output":"out/e","epoch":1,"layers":["in/a"],"uuid":"00112233-4455-6677-8899-aabbccddeeff","hash_seed":"00112233-4455-6677-8899-aabbccddeeff","size":1048576}"#,
    ),
    (
        "squashfs",
        r#"{"kind":"squashfs","output":"out/s","epoch":1,"layers":["in/a"],"compression":"xz","bcj":["x86"],"block_size":65536}"#,
    ),
    (
        "erofs",
        r#"{"kind":"erofs","output":"out/e","epoch":1,"layers":["in/a"],"uuid":"00112233-4455-6677-8899-aabbccddeeff","compression":"lz4hc","level":9,"cluster_size":65536}"#,
    ),
    (
        "iso",
        r#"{"kind":"iso","output":"out/i","epoch":1,"layers":["in/a"],"volume_id":"A","boot":[{"platform":"bios","image":{"path":"/a"},"grub2":true}],"hybrid":{"code":"in/c","patch":"grub2","table":{"gpt":{"guid":"00112233-4455-6677-8899-aabbccddeeff"}}}}"#,
    ),
    (
        "fat",
        r#"{"kind":"fat","output":"out/f","epoch":1,"layers":["in/a"],"volume_id":1,"size":1048576,"bits":12}"#,
    ),
    (
        "disk",
        r#"{"kind":"disk","output":"out/d","table":{"kind":"gpt","guid":"00112233-4455-6677-8899-aabbccddeeff","hybrid":[{"partition":1,"type":12}],"protective":"last"},"partitions":[{"name":"a","type":"0fc63daf-8483-4772-8e79-3d69d8477de4","guid":"00112233-4455-6677-8899-aabbccddee00","attributes":[2],"size":{"bytes":1048576},"file":"in/f"},{"name":"b","type":"0fc63daf-8483-4772-8e79-3d69d8477de4","size":"grow"}]}"#,
    ),
    ("modules", r#"{"kind":"modules","output":"out/m","epoch":1,"layers":["in/a"],"names":["virtio_blk"]}"#),
];

/// What a guest's agent says: that it is there, that a command ended, that it wrote a file, that it does not.
pub(crate) const ANSWERS: [(&str, &[u8]); 4] = [
    ("there", b"{\"ret\xff{\"return\":1}\n"),
    (
        "ended",
        b"{\"return\":{\"pid\":7}}\n{\"return\":{\"exited\":true,\"signal\":9,\"err-data\":\"eA==\"}}\n",
    ),
    (
        "written",
        b"{\"return\":{\"pid\":7}}\n{\"return\":{\"exited\":true,\"exitcode\":0}}\n{\"return\":1000}\n\
          {\"return\":{\"count\":1,\"eof\":false}}\n{\"return\":{}}\n{\"return\":{\"pid\":8}}\n",
    ),
    ("refused", b"{\"error\":{\"class\":\"GenericError\",\"desc\":\"disabled\"}}\n"),
];

/// Answers of servers, one connection after the other, parted by two bytes of 255.
pub(crate) const HTTP: [(&str, &[u8]); 7] = [
    ("length", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: \"a\"\r\nAccept-Ranges: bytes\r\n\r\ncontent"),
    ("chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ncon\r\n4;x=y\r\ntent\r\n0\r\n\r\n"),
    ("open end", b"HTTP/1.0 200 OK\r\n\r\ncontent"),
    (
        "rest",
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: \"a\"\r\n\r\ncon\xff\xffHTTP/1.1 206 Partial Content\r\n\
          Content-Length: 4\r\nContent-Range: bytes 3-6/7\r\nETag: \"a\"\r\n\r\ntent",
    ),
    (
        "elsewhere",
        b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n\xff\xff\
          HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncontent",
    ),
    (
        "tunnel",
        b"HTTP/1.1 301 Moved Permanently\r\nLocation: https://example.org/x\r\n\r\n\xff\xff\
          HTTP/1.1 200 Connection established\r\n\r\n\x16\x03\x03\x00\x02\x02\x28",
    ),
    ("busy", b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy"),
];
