/* The format, as far as QEMU reads it: the headers of a file, in its own byte order and with the layout that it has. */

#ifndef IGVM_DEFS_H
#define IGVM_DEFS_H

#include <stdint.h>

/* What a header is. */
typedef uint32_t IgvmVariableHeaderType;

enum {
    IGVM_VHT_SUPPORTED_PLATFORM = 0x001,
    IGVM_VHT_GUEST_POLICY = 0x101,
    IGVM_VHT_PARAMETER_AREA = 0x301,
    IGVM_VHT_PAGE_DATA = 0x302,
    IGVM_VHT_PARAMETER_INSERT = 0x303,
    IGVM_VHT_VP_CONTEXT = 0x304,
    IGVM_VHT_REQUIRED_MEMORY = 0x305,
    IGVM_VHT_VP_COUNT_PARAMETER = 0x307,
    IGVM_VHT_SNP_ID_BLOCK = 0x30b,
    IGVM_VHT_MEMORY_MAP = 0x30c,
    IGVM_VHT_ENVIRONMENT_INFO_PARAMETER = 0x313,
};

typedef struct {
    IgvmVariableHeaderType typ;
    uint32_t length;
} IGVM_VHS_VARIABLE_HEADER;

/* What isolates a guest. */
typedef uint8_t IgvmPlatformType;

enum {
    IGVM_PLATFORM_TYPE_NATIVE = 0,
    IGVM_PLATFORM_TYPE_VSM_ISOLATION = 1,
    IGVM_PLATFORM_TYPE_SEV_SNP = 2,
    IGVM_PLATFORM_TYPE_TDX = 3,
    IGVM_PLATFORM_TYPE_SEV = 4,
    IGVM_PLATFORM_TYPE_SEV_ES = 5,
};

typedef struct {
    uint32_t compatibility_mask;
    uint8_t highest_vtl;
    IgvmPlatformType platform_type;
    uint16_t platform_version;
    uint64_t shared_gpa_boundary;
} IGVM_VHS_SUPPORTED_PLATFORM;

typedef struct {
    uint64_t policy;
    uint32_t compatibility_mask;
    uint32_t reserved;
} IGVM_VHS_GUEST_POLICY;

/* A page, and what is in it. */
typedef uint16_t IgvmPageDataType;

enum {
    IGVM_PAGE_DATA_TYPE_NORMAL = 0,
    IGVM_PAGE_DATA_TYPE_SECRETS = 1,
    IGVM_PAGE_DATA_TYPE_CPUID_DATA = 2,
    IGVM_PAGE_DATA_TYPE_CPUID_XF = 3,
};

typedef struct {
    uint32_t is_2mb_page : 1;
    uint32_t unmeasured : 1;
    uint32_t is_shared : 1;
    uint32_t reserved : 29;
} IgvmPageDataFlags;

typedef struct {
    uint64_t gpa;
    uint32_t compatibility_mask;
    uint32_t file_offset;
    IgvmPageDataFlags flags;
    IgvmPageDataType data_type;
    uint16_t reserved;
} IGVM_VHS_PAGE_DATA;

/* The state of a processor. */
typedef struct __attribute__((packed)) {
    uint64_t gpa;
    uint32_t compatibility_mask;
    uint32_t file_offset;
    uint16_t vp_index;
    uint16_t reserved;
} IGVM_VHS_VP_CONTEXT;

/* What the host tells the guest. */
typedef struct {
    uint64_t number_of_bytes;
    uint32_t parameter_area_index;
    uint32_t file_offset;
} IGVM_VHS_PARAMETER_AREA;

typedef struct {
    uint32_t parameter_area_index;
    uint32_t byte_offset;
} IGVM_VHS_PARAMETER;

typedef struct {
    uint64_t gpa;
    uint32_t compatibility_mask;
    uint32_t parameter_area_index;
} IGVM_VHS_PARAMETER_INSERT;

typedef struct {
    uint32_t memory_is_shared : 1;
    uint32_t reserved : 31;
} IgvmEnvironmentInfo;

typedef uint16_t IgvmMemoryMapEntryType;

enum {
    IGVM_MEMORY_MAP_ENTRY_TYPE_MEMORY = 0,
    IGVM_MEMORY_MAP_ENTRY_TYPE_PLATFORM_RESERVED = 1,
    IGVM_MEMORY_MAP_ENTRY_TYPE_PERSISTENT = 2,
};

typedef struct {
    uint64_t starting_gpa_page_number;
    uint64_t number_of_pages;
    IgvmMemoryMapEntryType entry_type;
    uint16_t flags;
    uint32_t reserved;
} IGVM_VHS_MEMORY_MAP_ENTRY;

typedef struct {
    uint64_t gpa;
    uint32_t compatibility_mask;
    uint32_t number_of_bytes;
    uint32_t flags;
    uint32_t reserved;
} IGVM_VHS_REQUIRED_MEMORY;

/* Whose guest it is (SEV-SNP). */
typedef struct {
    uint8_t r_comp[72];
    uint8_t s_comp[72];
} IGVM_VHS_SNP_ID_BLOCK_SIGNATURE;

typedef struct {
    uint32_t curve;
    uint32_t reserved;
    uint8_t qx[72];
    uint8_t qy[72];
} IGVM_VHS_SNP_ID_BLOCK_PUBLIC_KEY;

typedef struct {
    uint32_t compatibility_mask;
    uint8_t author_key_enabled;
    uint8_t reserved[3];
    uint8_t ld[48];
    uint8_t family_id[16];
    uint8_t image_id[16];
    uint32_t version;
    uint32_t guest_svn;
    uint32_t id_key_algorithm;
    uint32_t author_key_algorithm;
    IGVM_VHS_SNP_ID_BLOCK_SIGNATURE id_key_signature;
    IGVM_VHS_SNP_ID_BLOCK_PUBLIC_KEY id_public_key;
    IGVM_VHS_SNP_ID_BLOCK_SIGNATURE author_key_signature;
    IGVM_VHS_SNP_ID_BLOCK_PUBLIC_KEY author_public_key;
} IGVM_VHS_SNP_ID_BLOCK;

#endif
