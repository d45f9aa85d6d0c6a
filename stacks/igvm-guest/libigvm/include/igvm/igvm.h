/* The functions of the crate `igvm` for programs in C, which its documentation describes. */

#ifndef IGVM_H
#define IGVM_H

#include "igvm_defs.h"

/* A file or a buffer; an error if negative. */
typedef int32_t IgvmHandle;

enum { IGVMAPI_OK = 0, IGVMAPI_NO_DATA = -2 };

typedef uint32_t IgvmHeaderSection;

enum {
    IGVM_HEADER_SECTION_PLATFORM,
    IGVM_HEADER_SECTION_INITIALIZATION,
    IGVM_HEADER_SECTION_DIRECTIVE,
};

IgvmHandle igvm_new_from_binary(const uint8_t *data, uint32_t len);
void igvm_free(IgvmHandle file);

int32_t igvm_header_count(IgvmHandle file, IgvmHeaderSection section);
int32_t igvm_get_header_type(IgvmHandle file, IgvmHeaderSection section, uint32_t index);
IgvmHandle igvm_get_header(IgvmHandle file, IgvmHeaderSection section, uint32_t index);
IgvmHandle igvm_get_header_data(IgvmHandle file, IgvmHeaderSection section, uint32_t index);

const uint8_t *igvm_get_buffer(IgvmHandle file, IgvmHandle buffer);
int32_t igvm_get_buffer_size(IgvmHandle file, IgvmHandle buffer);
void igvm_free_buffer(IgvmHandle file, IgvmHandle buffer);

#endif
