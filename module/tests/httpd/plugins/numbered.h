/* Messages that show whether they have arrived whole and in order. */

#ifndef NUMBERED_H
#define NUMBERED_H

#include <stdlib.h>
#include <string.h>

/*
 * A message of SIZE bytes, 8 at least, to be freed: the number of its sender and its own, 32 bits each;
 * every byte after that is the sum of both and of the byte's position.
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
