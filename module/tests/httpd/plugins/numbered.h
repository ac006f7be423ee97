/* Messages that show whether they arrive whole and in order. */

#ifndef NUMBERED_H
#define NUMBERED_H

#include <stdlib.h>
#include <string.h>

/*
 * Makes a message of SIZE bytes, at least 8, which the caller frees. It has the number of its
 * sender and its own number, 32 bits each. Every byte after that is the sum of both numbers and the
 * byte's position.
 */
static inline unsigned char *numbered_message(unsigned sender, unsigned number, size_t size)
{
    unsigned char *message = malloc(size);

    memcpy(message, &sender, 4);
    memcpy(message + 4, &number, 4);
    for (size_t i = 8; i < size; i++) {
        message[i] = (unsigned char)(sender + number + i);
    }
    return message;
}

#endif /* NUMBERED_H */
