/* election.h: who of several workers is the housekeeper. Each has an ephemeral sequential node in ZooKeeper;
 * the lowest number leads, and when its session ends the next one does. */
#pragma once

#include "config.h"

typedef struct election election_t;

election_t *election_new(const config_t *config);
void election_free(election_t *election); /* gives the office up */

/* Whether this worker leads now. Takes part again after a lost session; false while ZooKeeper is away. */
bool election_leads(election_t *election);
